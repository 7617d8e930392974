"""A bundle: model.json beside a safetensors file. Read without torch, which takes seconds."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from models.addresses import as_address_errors, as_path, is_local, read_text
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import BUNDLE, WEIGHTS
from models.errors import UserError, describe_refusal, find_position
from models.file_kinds import suggest_option

if TYPE_CHECKING:
    from upath import UPath


class Bundle(BaseModel):
    """model.json beside a safetensors file: everything but the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    architecture: str
    weights: str = WEIGHTS
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    layer: str | None = None

    @field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: str) -> str:
        """A bundle, which may be somebody else's, opens no file but its own."""
        parts = PurePosixPath(weights).parts
        if weights.startswith("/") or ".." in parts or not is_local(weights):
            raise ValueError(f"they are outside its folder: {weights!r}")
        return weights


def read_bundle(address: str | Path) -> Bundle:
    """The content of a model.json; refuses a file that is not one."""
    text = read_text(address)
    if text is None:
        path = Path(str(address))
        is_transformers = is_local(address) and path.with_name("config.json").is_file()
        hint = f"; give --model transformers:{path.parent}" if is_transformers else ""
        raise UserError(f"no model bundle at {address}: a bundle is a folder with {BUNDLE}{hint}")
    try:
        return Bundle.model_validate(json.loads(text))
    except ValidationError as error:
        raise UserError(describe_first_problem(error, f"model bundle {address}")) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"model bundle {address} is not JSON{find_position(error)}: "
            f"{suggest_option(text, '--model') or 'correct it there'}"
        ) from error


def find_bundle(address: str) -> UPath | None:
    """The model.json that an address names or whose folder it is; None for other addresses."""
    if is_local(address) and not Path(address).is_dir() and not address.endswith(".json"):
        return None
    with as_address_errors(address):
        path = as_path(address)
    return path if path.suffix == ".json" else path / BUNDLE


def describe_first_problem(error: ValidationError, what: str) -> str:
    first = error.errors()[0]
    parts = [what, ".".join(map(str, first["loc"])), describe_refusal(first)]
    return ": ".join(part for part in parts if part).replace("\n", " ")
