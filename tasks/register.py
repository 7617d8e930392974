"""A finished training as a registered model version in MLflow: our bundle, as the version's files.

The files lie under an MLflow run, which every store and server has known for years; a version made
from a logged model is resolved through MLflow's global server, whichever the client was made for.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.classifier import Classifier, save_bundle
from models.registered import SCHEME
from tasks.publish import Tracking, answering, find_experiment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FOLDER = "model"  # among the run's artifacts
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)  # aliases that MLflow refuses

log = logging.getLogger("sightline")


class RegistrySettings(BaseModel):
    """What a model is called in MLflow's registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[^/:@\s]+$", description="Registered model's name.")
    alias: str | None = Field(
        None, pattern=r"^[\w-]+$", description="Alias that the new version gets, as champion."
    )

    @field_validator("alias")
    @classmethod
    def _is_free(cls, alias: str | None) -> str | None:
        if alias is not None and RESERVED.fullmatch(alias):
            raise ValueError("MLflow keeps latest and v1, v2, … for itself: give another alias")
        return alias


def register_model(classifier: Classifier, registry: RegistrySettings, tracking: Tracking) -> str:
    """Log the classifier's bundle as a new version; returns the address that an audit takes."""
    if ".py:" in classifier.architecture:
        log.warning(
            "the version names your code (%s): whoever audits it needs that file and "
            "--allow-factory",
            classifier.architecture,
        )
    with answering(tracking.uri, "no version was registered, or its alias is not set"):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=tracking.uri)
        number = _create_version(client, classifier, registry, tracking)
        if registry.alias is not None:
            client.set_registered_model_alias(registry.name, registry.alias, number)
    return f"{SCHEME}models:/{registry.name}/{number}"


def _create_version(
    client: MlflowClient, classifier: Classifier, registry: RegistrySettings, tracking: Tracking
) -> str:
    tags = {
        "sightline.model": classifier.digest,
        "sightline.architecture": classifier.architecture,
        "sightline.layer": classifier.layer,
    }
    name = f"log {registry.name}"
    run = client.create_run(find_experiment(client, tracking), run_name=name, tags=tags)
    with TemporaryDirectory(prefix="sightline-") as folder:
        save_bundle(Path(folder), classifier)
        client.log_artifacts(run.info.run_id, folder, FOLDER)
    client.set_terminated(run.info.run_id)
    _create_name(client, registry.name)
    source = f"{run.info.artifact_uri}/{FOLDER}"
    version = client.create_model_version(registry.name, source, run.info.run_id, tags=tags)
    return str(version.version)


def _create_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
