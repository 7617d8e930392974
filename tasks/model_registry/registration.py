"""A classifier as a registered model version in MLflow: our bundle, and a model to serve beside it.

A training has one version of a name, however often it was killed: it is found again by its tag.
The files belong to an MLflow run, which every store and server supports; a version made from a
logged model would be resolved through MLflow's global server, whichever server the client uses.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from models.classifier.classifier import Classifier, save_bundle
from models.classifier.mlflow_addresses import SCHEME
from models.errors import UserError, describe_error
from tasks.model_registry.servable_model import save_servable_model
from tasks.tracking.mlflow_client import (
    connect,
    find_aliases,
    find_experiment,
    find_or_create,
    find_or_create_run,
    ignore_error,
    mlflow_errors,
)
from tasks.tracking.settings import RegistrySettings, Tracking
from tasks.tracking.training_log import TRAINING_ID

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

FOLDER = "model"  # in the run's artifacts
DIGEST = "sightline.model"  # tag: digest of the network's numbers

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class Origin:
    """The training that made a version."""

    training_id: str
    run_id: str | None = None  # its MLflow run; None: found by the training id, or created
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
    """Log the classifier as a new version, or return the one that its training has already."""
    if ".py:" in classifier.architecture:
        log.warning(
            "the version names your code (%s): an audit of it needs that file and --allow-factory",
            classifier.architecture,
        )
    with mlflow_errors(tracking.uri, "no version was registered, or its alias is not set"):
        registration = _Registration(connect(tracking), tracking, classifier, registry.name, origin)
        version = registration.find_or_create_version()
        same = version.tags[DIGEST] == classifier.digest
        if same:
            registration.complete(version, registry.alias)
    if not same:
        raise UserError(
            f"version {version.version} of {registry.name!r} comes from this training, with "
            "other weights: start the training again in a new run folder"
        )
    return RegisteredModel(registry.name, str(version.version))


@dataclass(frozen=True)
class _Registration:
    """The registration of a classifier as a version of a registered model."""

    client: MlflowClient
    tracking: Tracking
    classifier: Classifier
    name: str
    origin: Origin | None

    @property
    def tags(self) -> dict[str, str]:
        tags = {
            DIGEST: self.classifier.digest,
            "sightline.architecture": self.classifier.architecture,
            "sightline.layer": self.classifier.layer or "none",
        }
        if self.origin is None:
            return tags
        return {**self.origin.evidence, **tags, TRAINING_ID: self.origin.training_id}

    def find_or_create_version(self) -> ModelVersion:
        if self.origin is None:
            return self._create_version()
        return find_or_create(self._find_versions, self._create_version, self._delete_version)

    def complete(self, version: ModelVersion, alias: str | None) -> None:
        """Set what tags and alias are missing yet; a newer version keeps the alias."""
        for key in sorted(self.tags.keys() - version.tags.keys()):
            self.client.set_model_version_tag(self.name, version.version, key, self.tags[key])
        if alias is not None:
            holder = find_aliases(self.client, self.name).get(alias, "0")
            if int(holder) < int(version.version):
                self.client.set_registered_model_alias(self.name, alias, version.version)

    def _find_versions(self) -> list[ModelVersion]:
        """Versions of this name that come from the training, oldest first."""
        assert self.origin is not None
        query = f"tags.`{TRAINING_ID}` = '{self.origin.training_id}'"
        versions = self.client.search_model_versions(query)
        named = [version for version in versions if version.name == self.name]
        return sorted(named, key=lambda version: int(version.version))

    def _create_version(self) -> ModelVersion:
        run = self._find_or_create_run()
        with TemporaryDirectory(prefix="sightline-") as folder:
            _save_model(Path(folder) / FOLDER, self.classifier)
            self.client.log_artifacts(run.info.run_id, str(Path(folder) / FOLDER), FOLDER)
        if self.origin is None or self.origin.run_id is None:
            self.client.set_terminated(run.info.run_id)
        with ignore_error("RESOURCE_ALREADY_EXISTS"):
            self.client.create_registered_model(self.name)
        source = f"{run.info.artifact_uri}/{FOLDER}"
        return self.client.create_model_version(self.name, source, run.info.run_id, tags=self.tags)

    def _delete_version(self, version: ModelVersion) -> None:
        with ignore_error("RESOURCE_DOES_NOT_EXIST"):
            self.client.delete_model_version(self.name, version.version)

    def _find_or_create_run(self) -> Run:
        """The MLflow run that holds the version's files."""
        run_name = f"log {self.name}"
        if self.origin is None:
            experiment = find_experiment(self.client, self.tracking)
            return self.client.create_run(experiment, run_name=run_name, tags=self.tags)
        if self.origin.run_id is None:
            tags = {TRAINING_ID: self.origin.training_id}
            return find_or_create_run(self.client, self.tracking, run_name, tags)
        return self.client.get_run(self.origin.run_id)


def _save_model(folder: Path, classifier: Classifier) -> None:
    """Write MLflow's files, if the network can be exported, and our bundle beside them."""
    try:
        save_servable_model(folder, classifier)
    except Exception as error:  # the exporter runs user code and fails in many ways
        shutil.rmtree(folder, ignore_errors=True)
        log.warning(
            "the version serves audits only, MLflow cannot load it: %s cannot be exported (%s)",
            classifier.architecture,
            describe_error(error)[:300],
        )
    save_bundle(folder, classifier)
