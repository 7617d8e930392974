"""The settings of a flow: composed from its sections, a file and the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from models.addresses import has_password, remove_secrets
from models.errors import UserError, suggest
from tasks.tracking.settings import flatten

AnySettings = TypeVar("AnySettings", bound=BaseModel)


def refuse_secrets(settings: AnySettings) -> AnySettings:
    """The settings, none of which says a password: they are kept in run.json and in MLflow."""
    for name, text in flatten(settings.model_dump()):
        if has_password(text):
            raise ValueError(
                f"setting {name} (--{option_name(name)}) holds a password, which would be kept "
                "with the run: give it in the environment (MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI; AWS_... for storage)"
            )
    return settings


# Options whose setting's own name would not say enough without its section.
SPOKEN = {
    "data.path": "data",
    "model.address": "model",
    "output.run": "out",
    "interventions.choice": "interventions",
    "foreground.source": "foreground",
    "foreground.weights": "foreground_weights",
    "foreground.pickle": "foreground_allow_pickle",
    "foreground.confidence": "foreground_confidence",
    "flags.method": "flag_method",
    "finetune.batch_size": "training_batch_size",
    "tracking.uri": "mlflow",
}


def option_name(dotted: str) -> str:
    """The option's name for a setting, as a Python identifier."""
    return SPOKEN.get(dotted, dotted.rpartition(".")[2])


def plain_type(field: FieldInfo) -> Any:
    """The field's type without `| None`."""
    annotation: Any = field.annotation
    if isinstance(annotation, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def compose(
    kind: type[AnySettings],
    file: Path | None,
    given: Mapping[str, Any],
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> AnySettings:
    """Settings of a kind from a TOML or YAML file; `given` ({"section.key": value}) overrides it,
    and it overrides the `usual` ones."""
    values: dict[str, Any] = {section: {} for section in kind.model_fields}
    _fill(values, usual)
    for section, inner in ({} if file is None else read_config(file)).items():
        known = values.get(section)
        is_section = isinstance(known, dict) and isinstance(inner, dict)
        values[section] = {**known, **inner} if is_section else inner  # type: ignore[dict-item]
    _fill(values, given)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(_describe_first_problem(error, kind)) from error


def _fill(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    for dotted, value in given.items():
        if value is not None:
            section, _, key = dotted.partition(".")
            inner = values.setdefault(section, {})
            if not isinstance(inner, dict):
                found = remove_secrets(repr(inner))
                raise UserError(f"setting {section} is {found}: a section with keys is needed")
            inner[key] = value


def read_config(file: Path) -> dict[str, Any]:
    """Its sections, as they stand there."""
    if not file.is_file():
        raise UserError(f"configuration {file} not found")
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = remove_secrets(" ".join(str(error).split()))
        raise UserError(f"configuration {file} is not TOML or YAML: {reason}") from error
    if not isinstance(values, dict):
        raise UserError(f"configuration {file} holds no sections (data, model, output, …)")
    return values


def _describe_first_problem(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first problem in one line, with the option to give or the nearest known key."""
    first = error.errors()[0]
    path = tuple(map(str, first["loc"]))
    where = ".".join(path)
    if first["type"] == "missing":
        return f"setting {where} is missing: give --{option_name(where)} (or {where} in --config)"
    if first["type"] == "extra_forbidden":
        known = _keys(kind, path[:-1])
        return f"unknown setting {where}{suggest(path[-1], known)}; known are {', '.join(known)}"
    message = first["msg"].removeprefix("Value error, ")
    found = remove_secrets(repr(first["input"]))
    return f"setting {where}: {message} (found {found})" if where else message


def _keys(kind: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    for name in path:
        kind = plain_type(kind.model_fields[name])
    return list(kind.model_fields)
