"""The contents of run.json: a run's identity, its progress and its settings.

Keys that a later version adds are kept unchanged.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import DamagedFile
from models.methods.registry import method_names
from tasks.schema import GROUP_COLUMN, ClassGroups

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
    foreground: str  # source of the annotations
    polarity: Literal["foreground", "background"]
    orientation: Literal["upright", "stored"]
    estimator: str | None  # digest of what estimates missing foregrounds
    numeric: dict[str, str]
    shard_size: int

    @property
    def has_foreground(self) -> bool:
        """Does any image have one, annotated or estimated?"""
        return self.foreground != "none" or self.estimator is not None

    @property
    def geometry(self) -> dict[str, Any]:
        """What moves pixels, without the mean and deviation that normalise them."""
        preprocessing = self.preprocessing.model_dump(mode="json")
        return {name: preprocessing[name] for name in GEOMETRY}

    def as_json(self, *names: str) -> dict[str, Any]:
        """These fields, or all, as run.json keeps them; digests are computed from this."""
        fields = self.model_dump(mode="json")
        return {name: fields[name] for name in names or fields}

    def describe_differences(self, other: Identity) -> str:
        """The fields that differ, with both values; empty where none does."""
        then, now = self.as_json(), other.as_json()
        return "; ".join(
            f"{key} was {then.get(key)!r}, is {now.get(key)!r}"
            for key in sorted(then.keys() | now.keys())
            if then.get(key) != now.get(key)
        )


def numeric_policy(memory_format: str) -> dict[str, str]:
    """How numbers are computed; the device is deliberately not part of it."""
    return {"dtype": "float32", "memory_format": memory_format}


class RunState(BaseModel):
    """All of run.json. Fields that were never set are not written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str | None = None
    sightline: str = ""  # version that wrote it
    flag_rule: int = 0  # version of the rule that its flags are made by
    settings: dict[str, dict[str, Any]]  # by section, to reproduce the run
    classes: tuple[str, ...] = ()
    class_groups: ClassGroups | None = None  # of the classes, as they were when the run started
    state: Literal["running", "finished"] = "running"
    reuse: str | None = None  # run folder that rows are taken from
    schema_version: int
    identity: Identity
    model: ModelSettings | None = None  # where workers load it from
    warnings: tuple[str, ...] | None = None  # of the preprocessing; None: not checked yet
    model_origin: dict[str, str] = {}  # its version in MLflow
    model_stamps: dict[str, str] = {}  # sizes and times of its files; empty where they are not all
    mlflow: dict[str, str] = {}  # where the run was published
    results_stamp: str = ""  # of its files when it was published; one that is gone changes it
    _file: str = "run.json"  # where it was read

    @property
    def model_address(self) -> str:
        """As the user gave it."""
        return str(self.settings.get("model", {}).get("address", ""))

    @property
    def data_address(self) -> str:
        return str(self.settings.get("data", {}).get("path", ""))

    @property
    def group_column(self) -> str | None:
        """Column of the user's table that names each image's group; groups of classes take the
        place of one that was not named."""
        named = self.settings.get("data", {}).get("group_column")
        if named:
            return str(named)
        return GROUP_COLUMN if self.class_groups is None else None

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the attribution methods in the settings, in their order."""
        methods = self.settings.get("attribution", {}).get("methods")
        if not (
            isinstance(methods, list | tuple) and all(isinstance(name, str) for name in methods)
        ):
            raise self._of_another_version("attribution")
        return tuple(method_names(methods))

    def section(self, name: str, kind: type[Section]) -> Section:
        """One section of the settings, as its own type."""
        try:
            return kind.model_validate(self.settings[name])
        except (KeyError, ValidationError) as error:
            raise self._of_another_version(name) from error

    def _of_another_version(self, section: str) -> DamagedFile:
        return DamagedFile(
            f"the settings of {section} in {self._file} are damaged, or of another version of "
            "Sightline: run the audit again"
        )

    def change(self, **changes: object) -> RunState:
        fields = {name: value for name, value in self if name in self.model_fields_set}
        return RunState.model_validate(fields | changes)

    def as_json(self) -> dict[str, Any]:
        """The fields that were set, in their order."""
        fields = self.model_dump(mode="json")
        return {name: value for name, value in fields.items() if name in self.model_fields_set}
