"""What JavaScript reads exactly: numbers beyond 2^53 as text, what is not finite as null."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

EXACT = 1 << 53  # larger whole numbers are rounded by JavaScript


def as_json(value: Any) -> Any:
    """Plain values of value types, tables' rows and numbers."""
    if isinstance(value, BaseModel):
        return as_json(value.model_dump(mode="python"))
    if is_dataclass(value) and not isinstance(value, type):
        return {it.name: as_json(getattr(value, it.name)) for it in fields(value)}
    if isinstance(value, dict):
        return {str(key): as_json(it) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(it) for it in value]
    return _exact(value)


def _exact(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    return value
