"""Settings written as text: arguments, as in `rise:masks=500:seed=1`, and lists of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.errors import UserError, list_names, printable, suggest


def parse_arguments(text: str) -> dict[str, str]:
    """The values of `masks=500:seed=1` by name."""
    values = {}
    for part in text.split(":") if text else ():
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in values:
            raise UserError(
                f"arguments {text!r} are not understood at {part!r}: "
                "write each once, as name=value, with colons between them"
            )
        values[key] = value
    return values


def split_names(value: object) -> object:
    """`a, b` as a list of names; anything else as it is."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def parse_settings(owner: str, kind: type[Any], arguments: Mapping[str, str]) -> Any:
    """The settings, a dataclass, from text; error messages name their `owner`."""
    types: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(kind)}
    values = {}
    for key, text in arguments.items():
        if key not in types:
            takes = f"it takes {list_names(types)}" if types else "it takes none"
            raise UserError(f"{owner} has no argument {key!r}{suggest(key, types)}; {takes}")
        try:
            values[key] = types[key](text)
        except ValueError as error:
            raise UserError(
                f"{owner}: {key}={printable(text)} is not of type {types[key].__name__}"
            ) from error
    return kind(**values)


def format_arguments(settings: Any) -> list[str]:
    """The arguments that differ from their defaults."""
    return [
        f"{field.name}={getattr(settings, field.name)}"
        for field in fields(settings)
        if getattr(settings, field.name) != field.default
    ]
