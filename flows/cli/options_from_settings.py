"""Command-line options made from the settings: a field is an option, its description the help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.settings.compose import option_name, plain_type

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def settings_options(kind: type[BaseModel]) -> Callable[[Command], Command]:
    """Add an option for each field of each section of the settings."""

    def decorate(command: Command) -> Command:
        for dotted, field in reversed(list(_fields(kind))):
            command = _option(dotted, field)(command)
        return command

    return decorate


def settings_from_options(kind: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the command line overrides, as {"section.key": value}."""
    return {
        dotted: options[option_name(dotted)]
        for dotted, _ in _fields(kind)
        if options[option_name(dotted)] is not None
    }


def other_options(kind: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command that are not settings."""
    names = {option_name(dotted) for dotted, _ in _fields(kind)}
    return {name: value for name, value in options.items() if name not in names}


def _fields(kind: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for section, field in kind.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        for key, inner in field.annotation.model_fields.items():
            yield f"{section}.{key}", inner


def _option(dotted: str, field: FieldInfo) -> Callable[[Command], Command]:
    name = option_name(dotted)
    flag = "--" + name.replace("_", "-")
    kind = plain_type(field)
    details: dict[str, Any] = {"help": field.description}
    if kind is bool:
        return click.option(flag, name, is_flag=True, default=None, **details)
    if get_origin(kind) is Literal:
        details["type"] = click.Choice(get_args(kind))
    elif kind in (int, float):
        details["type"] = kind
    if not field.is_required() and field.default is not None:
        default = field.default
        details["help"] += (
            f" Default: {','.join(default) if isinstance(default, tuple) else default}."
        )
    return click.option(flag, name, default=None, **details)
