"""Which MLflow is meant, and what a model is called there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"^[^/:@\s]+$"
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)  # aliases that MLflow refuses


def _is_free(alias: str) -> str:
    if RESERVED.fullmatch(alias):
        raise ValueError("MLflow keeps latest and v1, v2, … for itself: give another alias")
    return alias


Alias = Annotated[str, Field(pattern=r"^[\w-]+$"), AfterValidator(_is_free)]


class TrackingSettings(BaseModel):
    """Where MLflow is; by default what the environment names, else SQLite of our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str | None = Field(None, description="MLflow's address; SQLite of our own by default.")
    experiment: str = Field("sightline", description="MLflow experiment.")


@dataclass(frozen=True)
class Tracking:
    """One experiment of one MLflow."""

    uri: str
    experiment: str
    artifacts: str | None = None  # where a new experiment's files go; None: as the server says


class RegistrySettings(BaseModel):
    """What a model is called in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME, description="Registered model's name.")
    alias: Alias | None = Field(None, description="Alias that the new version gets, as champion.")


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as `data.path = …`; what is not set is left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
