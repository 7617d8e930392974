"""The settings of a flow, composed from defaults, a file and the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from models.addresses import has_secret, remove_secrets
from models.errors import UserError, describe_refusal, find_position, printable, suggest
from models.file_kinds import suggest_option
from models.yaml_text import parse_yaml
from tasks.tracking.settings import flatten

AnySettings = TypeVar("AnySettings", bound=BaseModel)

LONGEST_SHOWN = 80  # characters of a refused value


def refuse_secrets(settings: AnySettings) -> AnySettings:
    """The settings, unless one holds a secret: they are kept in run.json and in MLflow."""
    for name, text in flatten(settings.model_dump()):
        if has_secret(text):
            raise ValueError(
                f"setting {name} (--{option_name(name)}) holds a password, a token or a signature, "
                "which would be kept with the run: give it in the environment "
                "(MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI; "
                "AWS_... for storage)"
            )
    return settings


def refuse_undecodable(settings: AnySettings) -> AnySettings:
    """The settings, unless one is no text: it could be kept neither in run.json nor in MLflow."""
    for name, text in flatten(settings.model_dump()):
        if not text.isascii() and any(map(_is_surrogate, text)):
            raise ValueError(
                f"setting {name} (--{option_name(name)}) is not UTF-8: {printable(text)}; "
                "rename the file or folder"
            )
    return settings


def _is_surrogate(character: str) -> bool:
    """Python's mark for a byte of a file name that is not UTF-8."""
    return "\ud800" <= character <= "\udfff"


# Options of settings whose key alone would say too little, or something else.
OPTION_NAMES = {
    "data.path": "data",
    "model.address": "model",
    "output.run": "out",
    "interventions.choice": "interventions",
    "foreground.source": "foreground",
    "foreground.weights": "foreground_weights",
    "foreground.pickle": "foreground_allow_pickle",
    "foreground.confidence": "foreground_confidence",
    "flags.method": "flag_method",
    "patterns.choice": "patterns",
    "finetune.batch_size": "training_batch_size",
    "tracking.uri": "mlflow",
}


def option_name(dotted: str) -> str:
    """The option's name for a setting, as a Python identifier."""
    return OPTION_NAMES.get(dotted, dotted.rpartition(".")[2])


def plain_type(field: FieldInfo) -> Any:
    """The field's type without `| None`."""
    annotation: Any = field.annotation
    if isinstance(annotation, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def compose(
    kind: type[AnySettings],
    file: Path | None,
    overrides: Mapping[str, Any],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> AnySettings:
    """Settings of a kind: `overrides` ({"section.key": value}) come before a TOML or YAML file,
    the file before `defaults`."""
    values: dict[str, Any] = {section: {} for section in kind.model_fields}
    _fill(values, defaults)
    for section, inner in ({} if file is None else read_config(file)).items():
        outer = values.get(section)
        is_section = isinstance(outer, dict) and isinstance(inner, dict)
        values[section] = {**outer, **inner} if is_section else inner  # type: ignore[dict-item]
    _fill(values, overrides)
    return check_settings(kind, values)


def check_settings(kind: type[AnySettings], values: Mapping[str, Any]) -> AnySettings:
    """Settings from sections in any form that files and options take; an error is one line."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = _describe_first_problem(error, kind)
    raise UserError(problem)  # without pydantic's pages in the traceback of a deployment's log


def _fill(values: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for dotted, value in settings.items():
        if value is not None:
            section, _, key = dotted.partition(".")
            inner = values.setdefault(section, {})
            if not isinstance(inner, dict):
                text = remove_secrets(repr(inner))
                raise UserError(f"setting {section} is {text}: a section with keys is needed")
            inner[key] = value


def read_config(file: Path) -> dict[str, Any]:
    """The sections of a configuration file."""
    if not file.is_file():
        raise UserError(
            f"configuration {file} not found: give a TOML or YAML file (sightline init writes one)"
        )
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text) if file.suffix == ".toml" else parse_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # also numbers too long to read
        form = "TOML" if file.suffix == ".toml" else "YAML"
        raise UserError(
            f"configuration {file} is not {form}{find_position(error)}: correct it there"
        ) from error
    if not isinstance(values, dict):
        words = suggest_option(text, "--config") or "write sections (data, model, output, …)"
        raise UserError(f"configuration {file} has no sections: {words}")
    return values


def _describe_first_problem(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first problem in one line, with the option to give or the nearest valid key."""
    first = error.errors()[0]
    path = tuple(map(str, first["loc"]))
    name = ".".join(path)
    if first["type"] == "missing" and len(path) <= 2:
        return f"setting {name} is missing: give --{option_name(name)} (or {name} in --config)"
    if first["type"] == "extra_forbidden":
        keys = _keys(kind, path[:-1])
        return f"unknown setting {name}{suggest(path[-1], keys)}; known are {', '.join(keys)}"
    message = describe_refusal(first)
    if first["input"] == {}:  # a section without settings: nothing was found that could be shown
        return f"setting {name}: {message}" if name else message
    value = printable(remove_secrets(repr(first["input"])), LONGEST_SHOWN)
    return f"setting {name}: {message} (found {value})" if name else message


def _keys(kind: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    for name in path:
        kind = plain_type(kind.model_fields[name])
    return list(kind.model_fields)
