"""The settings of each flow: sections that the packages define, checked together."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.settings.compose import refuse_secrets, refuse_undecodable
from models.addresses import Address, is_local
from models.classifier.mlflow_addresses import BY_ALIAS, BY_VERSION, SCHEME
from models.classifier.settings import ModelSettings
from models.limits import MOST_IMAGES, MOST_IN_MEMORY
from models.methods.registry import method_names
from tasks.attribution.settings import (
    AttributionSettings,
    AuditRequest,
    ComparisonSettings,
    RunPlan,
)
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.finetune.settings import FinetuneSettings, LearningSettings, TrainingRequest
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.settings import OutputSettings
from tasks.tracking.settings import NAME_PATTERN, Alias, RegistrySettings, TrackingSettings

PATTERNS = "patterns"  # folder of the audit of the training images, inside a retraining's
COMPARED = (
    *("grad_cam", "grad_cam_pp", "layer_cam", "full_grad", "integrated_gradients"),
    *("rise:masks=500", "iba", "ibisa"),
)


class RunSettings(BaseModel):
    """The settings of every flow that writes a run folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: DataSettings
    model: ModelSettings
    output: OutputSettings
    attribution: AttributionSettings = AttributionSettings()
    interventions: InterventionSettings = InterventionSettings()
    foreground: ForegroundSettings = ForegroundSettings()
    compute: ComputeSettings = ComputeSettings()
    tracking: TrackingSettings = TrackingSettings()

    _without_secrets = model_validator(mode="after")(refuse_secrets)
    _decodable = model_validator(mode="after")(refuse_undecodable)

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if self.attribution.target == "label" and self.interventions.choice != "none":
            raise ValueError(
                "flags judge predictions, and --target label makes maps of labels: leave it out, "
                "or make maps alone with --interventions none"
            )
        return self

    @property
    def audit_request(self) -> AuditRequest:
        return AuditRequest(self.data, self.attribution, self.interventions, self.foreground)

    @property
    def plan(self) -> RunPlan:
        return RunPlan(self.audit_request, self.model, self.output, self.model_dump(mode="json"))


class AuditSettings(RunSettings):
    """The settings of an audit, named as the parameters of its flow."""

    flags: FlagSettings = FlagSettings()
    patterns: PatternSettings = PatternSettings()

    @property
    def audit_request(self) -> AuditRequest:
        return replace(super().audit_request, patterns=self.patterns)

    @model_validator(mode="after")
    def _check_flag_method(self) -> Self:
        names = method_names(self.attribution.methods)
        if self.flags.method not in names:
            raise ValueError(
                f"flags need the maps of {self.flags.method}: add it to --methods "
                f"({', '.join(names)}), or name one of these with --flag-method"
            )
        return self

    def audit_of(self, model: ModelSettings, name: str, donors: str | None = None) -> AuditSettings:
        """Settings to audit another model on the same images, in a folder inside this one; with
        `donors`, a run, objects are put on the backgrounds of that run."""
        sections: dict[str, Any] = {key: getattr(self, key) for key in AuditSettings.model_fields}
        output = {"run": f"{self.output.folder.rstrip('/')}/{name}", "series": None}
        if donors is not None:
            output["reuse"] = None
            sections["interventions"] = self.interventions.model_copy(update={"donors": donors})
        sections["output"] = self.output.model_copy(update=output)
        return AuditSettings(**sections | {"model": model})


class RetrainedMethods(AttributionSettings):
    """Maps of several kinds, since a training may improve only those in its objective."""

    methods: tuple[str, ...] = Field(
        (
            *("grad_cam", "grad_cam_pp", "layer_cam", "input_x_gradient", "full_grad"),
            *("integrated_gradients", "ibisa"),
        ),
        min_length=1,
        description="Attribution methods, separated by commas; arguments as in rise:masks=500; "
        "your own as path/to/file.py:function.",
    )


class CandidateSettings(BaseModel):
    """Name and alias of the retrained model in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        description="Registered model's name; by default its name in MLflow, else that of its "
        "network.",
    )
    alias: Alias = Field("candidate", description="Alias that the new version gets.")

    def of(self, model: ModelSettings, architecture: str) -> RegistrySettings:
        """The registry's settings, with a default for the name."""
        registered = re.match(r"mlflow:models:/([^/@]+)", model.address)
        network = re.sub(r"\W+", "_", architecture.rpartition(":")[2]).strip("_")
        default = registered.group(1) if registered else network
        return RegistrySettings(name=self.name or default, alias=self.alias)


class RetrainSettings(AuditSettings):
    """The settings of a retraining; `data` is audited before and after it."""

    learning: LearningSettings = LearningSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    attribution: RetrainedMethods = RetrainedMethods()
    registry: CandidateSettings = CandidateSettings()

    @model_validator(mode="after")
    def _check_folder(self) -> Self:
        if self.output.run is not None and not is_local(self.output.run):
            raise ValueError(
                f"--out {self.output.run}: a training keeps its checkpoints in a folder of this "
                "machine: give a local one"
            )
        return self

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        sought = "none" not in (self.patterns.choice, self.interventions.choice)
        if self.learning.donors_from == "patterns" and not sought:
            raise ValueError(
                "--donors-from patterns needs --patterns default and --interventions default"
            )
        return self

    @property
    def training_request(self) -> TrainingRequest:
        return TrainingRequest(
            self.data, self.learning, self.foreground, self.finetune, self.patterns_run
        )

    @property
    def patterns_run(self) -> str | None:
        """The audit of the training images whose patterns are used; None where none are."""
        if self.learning.donors_from != "patterns":
            return None
        return self.learning.patterns_run or f"{self.output.folder.rstrip('/')}/{PATTERNS}"

    @property
    def training_audit(self) -> AuditSettings:
        """An audit of the training images, with the maps that patterns are found by alone."""
        settings = self.audit_of(self.model, PATTERNS)
        one_method = {"methods": (self.flags.method,)}
        changes: dict[str, Any] = {
            "data": self.learning.data(self.data, self.learning.train_split),
            "attribution": self.attribution.model_copy(update=one_method),
        }
        return settings.model_copy(update=changes)

    @property
    def folder(self) -> Path:
        return Path(self.output.folder)


class GateSettings(BaseModel):
    """Policy and champion that a candidate is checked against."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Address = Field(description="TOML file of the rules that a candidate must keep.")
    alias: Alias = Field(
        "champion",
        description="Alias of the champion; a candidate that passes gets it.",
    )
    run: Address | None = Field(
        None, description="Finished audit of the candidate; by default it is audited now."
    )
    champion_run: Address | None = Field(
        None, description="Finished audit of the champion; by default it is audited now."
    )


class ReleaseSettings(AuditSettings):
    """The settings of a release; candidate and champion are audited alike."""

    gate: GateSettings

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        address = self.model.address.removeprefix(SCHEME)
        by_alias = BY_ALIAS.fullmatch(address)
        if self.gate.run is None and not (by_alias or BY_VERSION.fullmatch(address)):
            raise ValueError(
                f"only a registered version can be released, and {self.model.address} is none: "
                "give --model mlflow:models:/NAME@candidate (sightline log registers one)"
            )
        if by_alias and by_alias["alias"] == self.gate.alias:
            raise ValueError(
                f"{self.model.address} has the alias that a release gives: name the candidate by "
                "another, or by its version (--model mlflow:models:/NAME/VERSION)"
            )
        return self


class SampledData(DataSettings):
    """A sample of the data, which is enough to compare methods."""

    sample: int | None = Field(
        64, ge=1, le=MOST_IMAGES, description="Number of images, stratified by label."
    )


class ComparedMethods(AttributionSettings):
    """Methods to compare, in small shards: some methods take a second per image."""

    methods: tuple[str, ...] = Field(
        COMPARED,
        min_length=1,
        description="Methods to compare, separated by commas; arguments as in rise:masks=500; "
        "your own as path/to/file.py:function.",
    )
    shard_size: int = Field(
        8, ge=1, le=MOST_IN_MEMORY, description="Images per shard, the unit of scheduling."
    )


class CompareMethodsSettings(RunSettings):
    """The settings of a comparison of methods."""

    data: SampledData
    attribution: ComparedMethods = ComparedMethods()
    comparison: ComparisonSettings = ComparisonSettings()

    @property
    def audit_request(self) -> AuditRequest:
        return replace(super().audit_request, comparison=self.comparison)
