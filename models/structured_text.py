"""JSON, TOML and YAML of users as plain values; a ValueError says what is wrong with the text.

Nesting without end, and YAML that refers to itself or repeats its own parts until no memory holds
them, are such errors too.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

DEEPEST = 100  # levels; our own files have five
MOST = 1_000_000  # values of a YAML file, each counted as often as it is repeated


def parse_json(text: str | bytes) -> Any:
    return _parse(json.loads, text)


def parse_toml(text: str) -> dict[str, Any]:
    values: dict[str, Any] = _parse(tomllib.loads, text)
    return values


def parse_yaml(text: str) -> Any:
    import yaml  # here: not every command reads YAML

    try:
        values = _parse(yaml.safe_load, text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    _count(values, MOST, DEEPEST)
    return values


def _parse(parse: Callable[[Any], Any], text: str | bytes) -> Any:
    try:
        return parse(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _count(value: object, most: int, levels: int) -> int:
    """How many more values are allowed after this one; raises where there are too many."""
    if levels == 0:
        raise ValueError("it is nested too deeply, or refers to itself")
    if most == 0:
        raise ValueError(f"it repeats its own parts to more than {MOST:,} values")
    most -= 1
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    for item in inner if isinstance(inner, list | tuple | set) else ():
        most = _count(item, most, levels - 1)
    return most
