"""What run.json says of a run: its identity, how far it is, and the settings it was asked with.

Keys that a later version adds are kept as they are.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import RunFolderError
from models.methods.registry import method_names

GEOMETRY = ("resize", "crop", "interpolation", "antialias")  # of the preprocessing

Section = TypeVar("Section", bound=BaseModel)


class Identity(BaseModel):
    """What makes two runs the same: any other value gives other numbers or other parts."""

    model_config = ConfigDict(frozen=True, extra="allow")

    catalog: str  # digest of the rows
    model: str  # digest of the network's numbers
    classes: str  # digest of their names
    preprocessing: Preprocessing
    layer: str | None
    target: Literal["prediction", "label"]
    foreground: str  # the annotations' source
    polarity: Literal["foreground", "background"]
    orientation: Literal["upright", "stored"]
    estimator: str | None  # digest of what marks foregrounds that nobody annotated
    numeric: dict[str, str]
    shard_size: int

    @property
    def has_foreground(self) -> bool:
        """Is there any, annotated or estimated?"""
        return self.foreground != "none" or self.estimator is not None

    @property
    def geometry(self) -> dict[str, Any]:
        """What moves pixels; mean and deviation are the model's own."""
        prepared = self.preprocessing.model_dump(mode="json")
        return {name: prepared[name] for name in GEOMETRY}

    def as_json(self, *names: str) -> dict[str, Any]:
        """These fields, or all, as run.json keeps them and digests are made of them."""
        kept = self.model_dump(mode="json")
        return {name: kept[name] for name in names or kept}

    def describe_differences(self, other: Identity) -> str:
        """The fields of another identity that differ, with both values; empty where none does."""
        then, now = self.as_json(), other.as_json()
        return "; ".join(
            f"{key} was {then.get(key)!r}, is {now.get(key)!r}"
            for key in sorted(then.keys() | now.keys())
            if then.get(key) != now.get(key)
        )


def numeric_policy(memory_format: str) -> dict[str, str]:
    """How numbers are computed; the device that happened to do it is no part of it."""
    return {"dtype": "float32", "memory_format": memory_format}


class RunState(BaseModel):
    """All of run.json. What was never set is not written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str | None = None
    sightline: str = ""  # version that wrote it
    settings: dict[str, dict[str, Any]]  # sections, for whoever reads the run
    classes: tuple[str, ...] = ()
    state: Literal["running", "finished"] = "running"
    reuse: str | None = None  # run folder that rows are taken from
    schema_version: int
    identity: Identity
    model: ModelSettings | None = None  # where workers find it
    model_origin: dict[str, str] = {}  # which version it is in MLflow
    mlflow: dict[str, str] = {}  # where the run was published

    @property
    def model_address(self) -> str:
        """As the user gave it."""
        return str(self.settings.get("model", {}).get("address", ""))

    @property
    def data_address(self) -> str:
        return str(self.settings.get("data", {}).get("path", ""))

    @property
    def methods(self) -> tuple[str, ...]:
        """What the attribution methods that were asked for are called, in their order."""
        return tuple(method_names(self.settings["attribution"]["methods"]))

    def section(self, name: str, kind: type[Section]) -> Section:
        """One section of the settings, in its own type."""
        try:
            return kind.model_validate(self.settings[name])
        except (KeyError, ValidationError) as error:
            raise RunFolderError(
                f"the settings of {name} in run.json are of another version of Sightline: "
                "run the audit again"
            ) from error

    def change(self, **changes: object) -> RunState:
        known = {name: value for name, value in self if name in self.model_fields_set}
        return RunState.model_validate(known | changes)

    def as_json(self) -> dict[str, Any]:
        """What was set, in the order of the fields."""
        kept = self.model_dump(mode="json")
        return {name: value for name, value in kept.items() if name in self.model_fields_set}
