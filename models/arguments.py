"""Arguments in a name, as in `rise:masks=500:seed=1`, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.errors import UserError, list_names, suggest


def parse_arguments(text: str) -> dict[str, str]:
    """`masks=500:seed=1` by name."""
    found = {}
    for part in text.split(":") if text else ():
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in found:
            raise UserError(
                f"arguments {text!r} are not understood at {part!r}: "
                "write each once, as name=value, with colons between them"
            )
        found[key] = value
    return found


def parse_settings(what: str, kind: type[Any], given: Mapping[str, str]) -> Any:
    """The settings, a dataclass, from words; `what` they belong to is told where one is wrong."""
    known: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(kind)}
    values = {}
    for key, text in given.items():
        if key not in known:
            takes = f"it takes {list_names(known)}" if known else "it takes none"
            raise UserError(f"{what} has no argument {key!r}{suggest(key, known)}; {takes}")
        try:
            values[key] = known[key](text)
        except ValueError as error:
            raise UserError(f"{what}: {key}={text} is no {known[key].__name__}") from error
    return kind(**values)


def format_arguments(settings: Any) -> list[str]:
    """The arguments that are not as by default."""
    return [
        f"{field.name}={getattr(settings, field.name)}"
        for field in fields(settings)
        if getattr(settings, field.name) != field.default
    ]
