"""Commands for MLflow alone: register a model, publish a finished run."""

from __future__ import annotations

import logging
from typing import Any

from flows.settings.compose import compose
from flows.settings.environment import tracking_of
from flows.settings.plain_commands import LogSettings, PublishSettings
from models.addresses import remove_secrets
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import fetch
from tasks.model_registry.registration import register_model
from tasks.runs.folder import RunFolder
from tasks.storage.lock import hold_lock
from tasks.tracking.audit_run import publish_run

log = logging.getLogger("sightline")


def log_model(settings: LogSettings) -> str:
    """Check the model as an audit would, and register it; returns its address."""
    tracking = tracking_of(settings.tracking)
    with fetch(settings.model, tracking.uri) as model:
        classifier = load_classifier(model.settings)
        log.info(
            "model: %s, %d classes, maps from layer %s",
            classifier.architecture,
            len(classifier.classes),
            classifier.layer,
        )
        return register_model(classifier, settings.registry, tracking).address


def publish_later(run: str, overrides: dict[str, Any]) -> str:
    """Send a finished run to MLflow, by default that of its audit; returns where it is."""
    folder = RunFolder.at(run)
    of_audit = folder.read_state().settings.get("tracking", {})
    defaults = {f"tracking.{key}": value for key, value in of_audit.items()}
    tracking = tracking_of(compose(PublishSettings, None, overrides, defaults).tracking)
    with hold_lock(run):
        run_id = publish_run(folder, tracking)
    uri = remove_secrets(tracking.uri)
    return f"{run_id} in experiment {tracking.experiment} of MLflow at {uri}"
