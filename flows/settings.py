"""What an occasion is told: settings composed from the tasks', files, and the environment.

The only file that reads the environment; everything below takes arguments.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from models.addresses import has_password, is_local, without_secrets
from models.architectures import ModelSettings
from models.mistakes import Mistake, nearest
from models.registered import BY_ALIAS, BY_VERSION, SCHEME
from tasks.catalog import DataSettings
from tasks.cluster import ComputeSettings
from tasks.donors import InterventionSettings
from tasks.estimator import ForegroundSettings
from tasks.finetune import FinetuneSettings, LearningSettings, Wanted
from tasks.flag import FlagSettings
from tasks.publish import Tracking, TrackingSettings, flat
from tasks.register import NAME, Alias, RegistrySettings
from tasks.shard import Asked, AttributionSettings, ComparisonSettings
from tasks.store import OutputSettings

RIVALS = (
    *("grad_cam", "grad_cam_pp", "layer_cam", "full_grad", "integrated_gradients"),
    *("rise:masks=500", "iba", "ibisa"),
)

AnySettings = TypeVar("AnySettings", bound=BaseModel)


class SettingsMistake(Mistake):
    """A setting that is unknown, missing or out of range."""


def secrets_refused(settings: AnySettings) -> AnySettings:
    """The settings, none of which says a password: they are kept in run.json and in MLflow."""
    for name, text in flat(settings.model_dump()):
        if has_password(text):
            raise ValueError(
                f"setting {name} (--{spoken(name)}) holds a password, which would be kept with the "
                "run: give it in the environment (MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI; AWS_... for storage)"
            )
    return settings


class RunSettings(BaseModel):
    """What every occasion is told that fills a run folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: DataSettings
    model: ModelSettings
    output: OutputSettings
    attribution: AttributionSettings = AttributionSettings()
    interventions: InterventionSettings = InterventionSettings()
    foreground: ForegroundSettings = ForegroundSettings()
    compute: ComputeSettings = ComputeSettings()
    tracking: TrackingSettings = TrackingSettings()

    _without_secrets = model_validator(mode="after")(secrets_refused)

    @model_validator(mode="after")
    def _interventions_are_of_predictions(self) -> Self:
        if self.attribution.target == "label" and self.interventions.choice != "none":
            raise ValueError(
                "flags judge predictions, and --target label makes maps of labels: leave it out, "
                "or ask for maps alone with --interventions none"
            )
        return self

    @property
    def asked(self) -> Asked:
        return Asked(self.data, self.attribution, self.interventions, self.foreground)


class AuditSettings(RunSettings):
    """Everything that an audit is told; the parameters of the flow, by the same names."""

    flags: FlagSettings = FlagSettings()

    @model_validator(mode="after")
    def _flags_have_maps(self) -> Self:
        if self.flags.method not in self.attribution.methods:
            raise ValueError(
                f"flags need the maps of {self.flags.method}: add it to --methods "
                f"({', '.join(self.attribution.methods)}), or name one of these with --flag-method"
            )
        return self


class RetrainedMethods(AttributionSettings):
    """Maps of six kinds, since a training may move those alone that it looks at."""

    methods: tuple[str, ...] = Field(
        (
            *("grad_cam", "grad_cam_pp", "layer_cam", "input_x_gradient", "full_grad"),
            *("integrated_gradients", "ibisa"),
        ),
        min_length=1,
        description="Attribution methods, separated by commas; arguments as in rise:masks=500.",
    )


class CandidateSettings(BaseModel):
    """What the retrained model is called in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(
        None,
        pattern=NAME,
        description="Registered model's name; by default its name in MLflow, else of its network.",
    )
    alias: Alias = Field("candidate", description="Alias that the new version gets.")

    def of(self, model: ModelSettings, architecture: str) -> RegistrySettings:
        """The name that was given, or the one that suggests itself."""
        known = re.match(r"mlflow:models:/([^/@]+)", model.address)
        plain = re.sub(r"\W+", "_", architecture.rpartition(":")[2]).strip("_")
        return RegistrySettings(
            name=self.name or (known.group(1) if known else plain), alias=self.alias
        )


class RetrainSettings(AuditSettings):
    """Everything that a retraining is told; the data are audited before and after it."""

    learning: LearningSettings = LearningSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    attribution: RetrainedMethods = RetrainedMethods()
    registry: CandidateSettings = CandidateSettings()

    @model_validator(mode="after")
    def _stays_on_this_machine(self) -> Self:
        if self.output.run is not None and not is_local(self.output.run):
            raise ValueError(
                f"--out {self.output.run}: a training keeps its checkpoints in a folder of this "
                "machine: give one"
            )
        return self

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.data, self.learning, self.foreground, self.finetune)

    @property
    def folder(self) -> Path:
        return Path(self.output.folder)

    def audit_of(self, model: ModelSettings, name: str, before: str | None = None) -> AuditSettings:
        """One of the two audits; the later one puts objects on the earlier one's backgrounds."""
        sections: dict[str, Any] = {key: getattr(self, key) for key in AuditSettings.model_fields}
        output = {"run": str(self.folder / name), "series": None}
        if before is not None:
            output["reuse"] = None
            sections["interventions"] = self.interventions.model_copy(update={"donors": before})
        sections["output"] = self.output.model_copy(update=output)
        return AuditSettings(**sections | {"model": model})


class GateSettings(BaseModel):
    """What a candidate is held against, and what it becomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str = Field(description="TOML file of the rules that a candidate must keep.")
    alias: Alias = Field(
        "champion",
        description="Alias of the champion; a candidate that passes gets it.",
    )
    run: str | None = Field(
        None, description="Finished audit of the candidate; by default it is audited now."
    )
    champion_run: str | None = Field(
        None, description="Finished audit of the champion; by default it is audited now."
    )


class ReleaseSettings(AuditSettings):
    """Everything that a release is told; candidate and champion are audited alike."""

    gate: GateSettings

    @model_validator(mode="after")
    def _is_registered(self) -> Self:
        address = self.model.address.removeprefix(SCHEME)
        named = BY_ALIAS.fullmatch(address) or BY_VERSION.fullmatch(address)
        if self.gate.run is None and not named:
            raise ValueError(
                f"a release is of a registered version, and {self.model.address} is none: give "
                "--model mlflow:models:/NAME@candidate (sightline log registers one)"
            )
        return self

    def audit_of(self, model: ModelSettings, name: str, donors: str | None = None) -> AuditSettings:
        """One of the two audits; the champion's puts objects on the candidate's backgrounds."""
        sections: dict[str, Any] = {key: getattr(self, key) for key in AuditSettings.model_fields}
        output = {"run": f"{self.output.folder.rstrip('/')}/{name}", "series": None}
        if donors is not None:
            output["reuse"] = None
            sections["interventions"] = self.interventions.model_copy(update={"donors": donors})
        sections["output"] = self.output.model_copy(update=output)
        return AuditSettings(**sections | {"model": model})


class SampledData(DataSettings):
    """A part of the data is enough to compare methods."""

    sample: int | None = Field(64, ge=1, description="So many images, stratified by label.")


class RivalSettings(AttributionSettings):
    """Methods to compare, in small shards: some methods take a second an image."""

    methods: tuple[str, ...] = Field(
        RIVALS,
        min_length=1,
        description="Methods to compare, separated by commas; arguments as in rise:masks=500.",
    )
    shard_size: int = Field(8, ge=1, description="Images a shard, the unit of scheduling.")


class CompareMethodsSettings(RunSettings):
    """Everything that a comparison of methods is told."""

    data: SampledData
    attribution: RivalSettings = RivalSettings()
    comparison: ComparisonSettings = ComparisonSettings()

    @property
    def asked(self) -> Asked:
        return replace(super().asked, comparison=self.comparison)


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


def spoken(dotted: str) -> str:
    """The option's name for a setting, as a Python identifier."""
    return SPOKEN.get(dotted, dotted.rpartition(".")[2])


def plain_type(field: FieldInfo) -> Any:
    """The field's type without `| None`."""
    annotation: Any = field.annotation
    if isinstance(annotation, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def home() -> Path:
    """Where the embedded servers keep their databases."""
    return Path(os.environ.get("SIGHTLINE_HOME", ".sightline")).absolute()


def tracking_uri(tracking: TrackingSettings) -> tuple[str, str | None]:
    """MLflow's address and, for SQLite, where artifacts go: beside the database."""
    own = f"sqlite:///{home() / 'mlflow.db'}"
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or own
    if not uri.startswith("sqlite:///"):
        return uri, None
    folder = Path(uri.removeprefix("sqlite:///")).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    return uri, (folder / "mlflow-artifacts").as_uri()


def tracking_of(settings: TrackingSettings) -> Tracking:
    """The experiment that the settings, and for what they leave open the environment, name."""
    uri, artifacts = tracking_uri(settings)
    return Tracking(uri, settings.experiment, artifacts)


def prepare_environment() -> None:
    """Defaults for the embedded servers; must run before Prefect is imported. Set ones stay."""
    defaults = {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a cold disk takes long
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The command says in one line what went wrong; the traceback goes to the flow run's log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a page of text for each event not taken
        "PREFECT_LOGGING_EXTRA_LOGGERS": "sightline",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # not a line for each migration of its database
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where our results go
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # A server that is away is given up after 20 seconds, not after 15 minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


def compose(kind: type[AnySettings], file: Path | None, given: Mapping[str, Any]) -> AnySettings:
    """Settings of a kind from a TOML or YAML file; `given` ({"section.key": value}) overrides."""
    values: dict[str, Any] = {section: {} for section in kind.model_fields}
    values |= {} if file is None else _read(file)
    for dotted, value in given.items():
        if value is not None:
            section, _, key = dotted.partition(".")
            inner = values.setdefault(section, {})
            if not isinstance(inner, dict):
                told = without_secrets(repr(inner))
                raise SettingsMistake(f"setting {section} is {told}: a section with keys is needed")
            inner[key] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SettingsMistake(_told(error, kind)) from error


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise SettingsMistake(f"configuration {file} not found")
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        told = without_secrets(" ".join(str(error).split()))
        raise SettingsMistake(f"configuration {file} is not TOML or YAML: {told}") from error
    if not isinstance(values, dict):
        raise SettingsMistake(f"configuration {file} holds no sections (data, model, output, …)")
    return values


def _told(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first problem in one line, with the option to give or the nearest known key."""
    first = error.errors()[0]
    path = tuple(map(str, first["loc"]))
    where = ".".join(path)
    if first["type"] == "missing":
        return f"setting {where} is missing: give --{spoken(where)} (or {where} in --config)"
    if first["type"] == "extra_forbidden":
        known = _keys(kind, path[:-1])
        return f"unknown setting {where}{nearest(path[-1], known)}; known are {', '.join(known)}"
    message = first["msg"].removeprefix("Value error, ")
    found = without_secrets(repr(first["input"]))
    return f"setting {where}: {message} (found {found})" if where else message


def _keys(kind: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    for name in path:
        kind = plain_type(kind.model_fields[name])
    return list(kind.model_fields)
