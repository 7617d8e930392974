"""The environment, which is read only here; everything below takes arguments."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.storage.folders import make_folder
from tasks.tracking.settings import Tracking, TrackingSettings


def home() -> Path:
    """The folder where the embedded servers keep their databases."""
    return Path(os.environ.get("SIGHTLINE_HOME", ".sightline")).absolute()


def tracking_uri(tracking: TrackingSettings) -> tuple[str, str | None]:
    """MLflow's address and, for SQLite, that of the artifacts: beside the database."""
    embedded = f"sqlite:///{home() / 'mlflow.db'}"
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or embedded
    if not uri.startswith("sqlite:///"):
        return uri, None
    folder = Path(uri.removeprefix("sqlite:///")).absolute().parent
    make_folder(folder, "--mlflow")
    return uri, (folder / "mlflow-artifacts").as_uri()


def tracking_of(settings: TrackingSettings) -> Tracking:
    """The experiment that the settings name, completed from the environment."""
    uri, artifacts = tracking_uri(settings)
    return Tracking(uri, settings.experiment, artifacts)


def prepare_environment() -> None:
    """Set what is unset for the embedded servers; must run before Prefect is imported."""
    defaults = {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a cold disk is slow
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The command reports an error in one line; the traceback goes to the flow run's log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # else a page per event refused
        "PREFECT_LOGGING_EXTRA_LOGGERS": "sightline",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # no line per migration of its database
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for our results
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Give up on a server that does not answer after 20 seconds, not 15 minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    make_folder(home(), "SIGHTLINE_HOME")
    make_folder(os.environ["PREFECT_HOME"], "PREFECT_HOME")
