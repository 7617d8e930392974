"""Which maps an audit makes, and everything else except the model that its figures depend on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.arguments import split_names
from models.classifier.settings import ModelSettings
from models.limits import MOST_IMAGES, MOST_IN_MEMORY
from models.methods.registry import LAYER_METHODS, find_methods
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.settings import OutputSettings


class AttributionSettings(BaseModel):
    """Which maps, of which class. More methods add parts and change none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(
        LAYER_METHODS,
        min_length=1,
        description="Attribution methods, separated by commas; arguments as in rise:masks=500; "
        "your own as path/to/file.py:function.",
    )
    target: Literal["prediction", "label"] = Field(
        "prediction", description="The class that maps explain."
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        "channels_last", description="Layout of pictures and weights; channels_last is faster."
    )
    shard_size: int = Field(
        256, ge=1, le=MOST_IN_MEMORY, description="Images per shard, the unit of scheduling."
    )

    _split_methods = field_validator(
        "methods", mode="before", json_schema_input_type=str | list[str]
    )(split_names)

    @field_validator("methods")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        methods = {method.address: method.name for method in find_methods(names)}
        twice = [name for name, count in Counter(methods.values()).items() if count > 1]
        if twice:
            raise ValueError(f"two methods would be called {twice[0]}: rename one file or function")
        return tuple(methods)


class ComparisonSettings(BaseModel):
    """How thoroughly methods are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tested: int = Field(
        16,
        ge=0,
        le=MOST_IMAGES,
        description="Images whose maps are made again with random weights, and with noise.",
    )


@dataclass(frozen=True)
class AuditRequest:
    """Everything except the model that the figures of an audit depend on."""

    data: DataSettings
    attribution: AttributionSettings = AttributionSettings()
    interventions: InterventionSettings = InterventionSettings()
    foreground: ForegroundSettings = ForegroundSettings()
    comparison: ComparisonSettings | None = None  # None: maps are not compared
    patterns: PatternSettings | None = None  # None: none are sought

    def sections(self) -> dict[str, Any]:
        """As run.json keeps them."""
        sections = {name: section for name, section in vars(self).items() if section is not None}
        return {name: section.model_dump(mode="json") for name, section in sections.items()}


@dataclass(frozen=True)
class RunPlan:
    """One run as its command asks for it: what, of which model, and where."""

    request: AuditRequest
    model: ModelSettings
    output: OutputSettings
    settings: dict[str, Any]  # all of them, as run.json keeps them
