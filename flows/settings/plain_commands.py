"""The settings of commands that run no flow."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from flows.settings.compose import refuse_secrets, refuse_undecodable
from models.classifier.mlflow_addresses import SCHEME
from models.classifier.settings import ModelSettings
from tasks.execution.settings import ComputeSettings
from tasks.tracking.settings import RegistrySettings, TrackingSettings


class BundleSettings(BaseModel):
    """The settings of `sightline bundle`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: ModelSettings

    _without_secrets = model_validator(mode="after")(refuse_secrets)

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.model.address.startswith(SCHEME):
            raise ValueError(
                f"{self.model.address} is in MLflow: audit it by this address, or give --model "
                "ARCHITECTURE with --weights FILE"
            )
        if self.model.architecture or self.model.weights_artifact:
            raise ValueError(
                "--architecture and --weights-artifact describe a model in MLflow: give --model "
                "ARCHITECTURE with --weights FILE"
            )
        return self


class LogSettings(BaseModel):
    """The settings of `sightline log`: the model and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: ModelSettings
    registry: RegistrySettings
    tracking: TrackingSettings = TrackingSettings()

    _without_secrets = model_validator(mode="after")(refuse_secrets)
    _decodable = model_validator(mode="after")(refuse_undecodable)


class PublishSettings(BaseModel):
    """The settings of `sightline publish`: the MLflow that a finished run goes to."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tracking: TrackingSettings = TrackingSettings()

    _without_secrets = model_validator(mode="after")(refuse_secrets)
    _decodable = model_validator(mode="after")(refuse_undecodable)


class DiscoverSettings(BaseModel):
    """The settings of `sightline discover`: where the exchanges are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    compute: ComputeSettings = ComputeSettings()
