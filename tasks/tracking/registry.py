"""A classifier as a registered model version in MLflow: our bundle, and a model to serve beside it.

A training has one version of a name, however often it died: it is found again by its tag.
The files lie under an MLflow run, which every store and server has known for years; a version made
from a logged model is resolved through MLflow's global server, whichever the client was made for.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.classifier.classifier import Classifier, save_bundle
from models.classifier.mlflow_models import SCHEME
from models.errors import UserError, describe_error
from tasks.tracking.mlflow_client import (
    Tracking,
    connect,
    find_aliases,
    find_experiment,
    find_or_create,
    find_or_create_run,
    ignore_answer,
    mlflow_errors,
)
from tasks.tracking.servable_model import save_serving
from tasks.tracking.training_log import TRAINING_ID

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

FOLDER = "model"  # among the run's artifacts
MODEL = "sightline.model"  # tag: digest of the network's numbers
NAME = r"^[^/:@\s]+$"
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)  # aliases that MLflow refuses

log = logging.getLogger("sightline")


def _is_free(alias: str) -> str:
    if RESERVED.fullmatch(alias):
        raise ValueError("MLflow keeps latest and v1, v2, … for itself: give another alias")
    return alias


Alias = Annotated[str, Field(pattern=r"^[\w-]+$"), AfterValidator(_is_free)]


class RegistrySettings(BaseModel):
    """A model's name and alias in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME, description="Registered model's name.")
    alias: Alias | None = Field(None, description="Alias that the new version gets, as champion.")


@dataclass(frozen=True)
class Origin:
    """The training that made a version."""

    training_id: str
    run_id: str | None = None  # its MLflow run; None: the one with its id, or one of its own
    evidence: Mapping[str, str] = field(default_factory=dict)  # further tags of the version


@dataclass(frozen=True)
class RegisteredModel:
    """One version of a registered model."""

    name: str
    version: str

    @property
    def address(self) -> str:
        """The address to audit it by."""
        return f"{SCHEME}models:/{self.name}/{self.version}"


def register_model(
    classifier: Classifier,
    registry: RegistrySettings,
    tracking: Tracking,
    origin: Origin | None = None,
) -> RegisteredModel:
    """Log the classifier as a version: a new one, or the one that its training has already."""
    if ".py:" in classifier.architecture:
        log.warning(
            "the version names your code (%s): whoever audits it needs that file and "
            "--allow-factory",
            classifier.architecture,
        )
    with mlflow_errors(tracking.uri, "no version was registered, or its alias is not set"):
        client = connect(tracking)
        version = _find_or_create_version(client, classifier, registry.name, tracking, origin)
        same = version.tags[MODEL] == classifier.digest
        if same:
            _complete(client, registry, version, _tags(classifier, origin))
    if not same:
        raise UserError(
            f"version {version.version} of {registry.name!r} is this training's with other "
            "weights: a training that is begun anew needs a run folder of its own"
        )
    return RegisteredModel(registry.name, str(version.version))


def _tags(classifier: Classifier, origin: Origin | None) -> dict[str, str]:
    tags = {
        MODEL: classifier.digest,
        "sightline.architecture": classifier.architecture,
        "sightline.layer": classifier.layer or "none",
    }
    return tags if origin is None else {**origin.evidence, **tags, TRAINING_ID: origin.training_id}


def _find_or_create_version(
    client: MlflowClient,
    classifier: Classifier,
    name: str,
    tracking: Tracking,
    origin: Origin | None,
) -> ModelVersion:
    if origin is None:
        return _create_version(client, classifier, name, tracking, None)
    return find_or_create(
        lambda: _find_versions(client, name, origin.training_id),
        lambda: _create_version(client, classifier, name, tracking, origin),
        lambda version: _delete_version(client, version),
    )


def _delete_version(client: MlflowClient, version: ModelVersion) -> None:
    with ignore_answer("RESOURCE_DOES_NOT_EXIST"):
        client.delete_model_version(version.name, version.version)


def _find_versions(client: MlflowClient, name: str, training_id: str) -> list[ModelVersion]:
    """The versions of this name that the training has, oldest first."""
    found = client.search_model_versions(f"tags.`{TRAINING_ID}` = '{training_id}'")
    named = [version for version in found if version.name == name]
    return sorted(named, key=lambda version: int(version.version))


def _create_version(
    client: MlflowClient,
    classifier: Classifier,
    name: str,
    tracking: Tracking,
    origin: Origin | None,
) -> ModelVersion:
    tags = _tags(classifier, origin)
    run = _run_of(client, name, tracking, tags, origin)
    with TemporaryDirectory(prefix="sightline-") as folder:
        _save_model(Path(folder) / FOLDER, classifier)
        client.log_artifacts(run.info.run_id, str(Path(folder) / FOLDER), FOLDER)
    if origin is None or origin.run_id is None:
        client.set_terminated(run.info.run_id)
    with ignore_answer("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name)
    source = f"{run.info.artifact_uri}/{FOLDER}"
    return client.create_model_version(name, source, run.info.run_id, tags=tags)


def _run_of(
    client: MlflowClient,
    name: str,
    tracking: Tracking,
    tags: dict[str, str],
    origin: Origin | None,
) -> Run:
    """The MLflow run that holds the version's files."""
    if origin is None:
        experiment = find_experiment(client, tracking)
        return client.create_run(experiment, run_name=f"log {name}", tags=tags)
    if origin.run_id is None:
        own = {TRAINING_ID: origin.training_id}
        return find_or_create_run(client, tracking, f"log {name}", own)
    return client.get_run(origin.run_id)


def _save_model(folder: Path, classifier: Classifier) -> None:
    """MLflow's files, if the network can be exported, and our bundle beside them."""
    try:
        save_serving(folder, classifier)
    except Exception as error:  # the exporter runs the user's code, and fails in many ways
        shutil.rmtree(folder, ignore_errors=True)
        log.warning(
            "the version is for audits only, MLflow cannot load it: %s cannot be exported (%s)",
            *(classifier.architecture, describe_error(error)[:300]),
        )
    save_bundle(folder, classifier)


def _complete(
    client: MlflowClient, registry: RegistrySettings, version: ModelVersion, tags: dict[str, str]
) -> None:
    """Tags and alias that an interrupted try did not set; a newer version keeps the alias."""
    for key in sorted(tags.keys() - version.tags.keys()):
        client.set_model_version_tag(registry.name, version.version, key, tags[key])
    if registry.alias is not None:
        holder = find_aliases(client, registry.name).get(registry.alias, "0")
        if int(holder) < int(version.version):
            client.set_registered_model_alias(registry.name, registry.alias, version.version)
