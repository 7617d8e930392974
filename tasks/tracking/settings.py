"""Settings of MLflow: its address, and the name of a registered model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tasks.storage.empty_database import EmptyDatabase

SQLITE = "sqlite:///"
NAME_PATTERN = r"^[^/:@\s\x00-\x1f\x7f-\x9f]+$"  # no control characters
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)  # aliases that MLflow refuses


def _refuse_reserved(alias: str) -> str:
    if RESERVED.fullmatch(alias):
        raise ValueError("MLflow keeps latest and v1, v2, … for itself: give another alias")
    return alias


Alias = Annotated[str, Field(pattern=r"^[\w-]+$"), AfterValidator(_refuse_reserved)]


class TrackingSettings(BaseModel):
    """Address of MLflow; by default from the environment, else a SQLite database of our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str | None = Field(None, description="MLflow's address; SQLite of our own by default.")
    experiment: str = Field("sightline", description="MLflow experiment.")


@dataclass(frozen=True)
class Tracking:
    """One experiment of one MLflow."""

    uri: str
    experiment: str
    artifacts: str | None = None  # location of a new experiment's files; None: the server decides
    empty: EmptyDatabase | None = None  # what a new SQLite database starts from

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for a server."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None


class RegistrySettings(BaseModel):
    """A model's name and alias in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN, description="Registered model's name.")
    alias: Alias | None = Field(None, description="Alias that the new version gets, as champion.")


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of a dotted key (`data.path`) and text; unset ones are left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
