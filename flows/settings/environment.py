"""The environment, which is read only here; everything below takes arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tasks.storage.empty_database import EmptyDatabase
from tasks.storage.folders import make_folder
from tasks.tracking.settings import Tracking, TrackingSettings

PREFECT_URL = "PREFECT_API_URL"
PREFECT_DATABASES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)


def home() -> Path:
    """The folder where the embedded servers keep their databases."""
    return Path(os.environ.get("SIGHTLINE_HOME", ".sightline")).absolute()


def prefect_home() -> Path:
    """The folder of Prefect's database and settings: in our home, unless the user names another."""
    named = os.environ.get("PREFECT_HOME")
    return home() / "prefect" if named is None else Path(named).expanduser().absolute()


def cache_folder() -> Path | None:
    """Where files of the user's that can be made anew are kept; None where there is no home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sightline"
    except RuntimeError:
        return None


def has_screen() -> bool:
    """Is there a person at a terminal, and a browser to open?"""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and (bool(shown) or sys.platform in ("darwin", "win32"))


def prefect_url() -> str | None:
    """Prefect's address where one is named; else a server is started."""
    return os.environ.get(PREFECT_URL)


def use_prefect(url: str) -> None:
    """Name Prefect's address; must come before Prefect is imported."""
    os.environ[PREFECT_URL] = url


def environment_of_server(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server that we start, which is not a client of another one."""
    kept = {name: value for name, value in os.environ.items() if name != PREFECT_URL}
    return kept | dict(settings)


def has_own_prefect_database() -> bool:
    """Has the user named a database for Prefect, such as PostgreSQL?"""
    return any(os.environ.get(name) for name in PREFECT_DATABASES)


def mlflow_uri() -> str | None:
    """MLflow's address where one is named; else it is a database in our home."""
    return os.environ.get("MLFLOW_TRACKING_URI")


def tracking_uri(tracking: TrackingSettings) -> tuple[str, str | None]:
    """MLflow's address and, for SQLite, that of the artifacts: beside the database."""
    embedded = f"sqlite:///{home() / 'mlflow.db'}"
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or embedded
    if not uri.startswith("sqlite:///"):
        return uri, None
    database = Path(
        uri.removeprefix("sqlite:///")
    ).absolute()  # run.json keeps it for other folders
    make_folder(database.parent, "--mlflow")
    return f"sqlite:///{database}", (database.parent / "mlflow-artifacts").as_uri()


def tracking_of(settings: TrackingSettings) -> Tracking:
    """The experiment that the settings name, completed from the environment."""
    uri, artifacts = tracking_uri(settings)
    empty = EmptyDatabase.of(cache_folder(), "mlflow", version("mlflow"))
    return Tracking(uri, settings.experiment, artifacts, empty)


def show_orchestration() -> None:
    """Let Prefect and Dask log, and print nothing themselves; before `prepare_environment`."""
    settings = {
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "DASK_LOGGING__DISTRIBUTED": "warning",
        "MLFLOW_CONFIGURE_LOGGING": "false",  # its lines go where all go
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def show_third_parties() -> None:
    """Let the libraries that we use say what they like; before `prepare_environment`."""
    loud = {
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
        "PYTHONWARNINGS": "default",
        "DASK_LOGGING__DISTRIBUTED": "warning",
        "MLFLOW_LOGGING_LEVEL": "INFO",
    }
    for name, value in loud.items():
        os.environ.setdefault(name, value)


def prepare_environment() -> None:
    """Set what is unset for the embedded servers; must run before Prefect is imported."""
    defaults = {
        "PREFECT_HOME": str(prefect_home()),
        "PREFECT_PROFILES_PATH": str(prefect_home() / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The command reports an error in one line; the traceback goes to the flow run's log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # else a page per event refused
        "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",  # lines of other libraries stay out of the log
        "PREFECT_LOGGING_EXTRA_LOGGERS": "sightline",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # What goes wrong is told in one line of ours; --verbose shows what others say of it.
        "PYTHONWARNINGS": "ignore",  # of workers; the command's own: flows/cli/log_lines.py
        "DASK_LOGGING__DISTRIBUTED": "critical",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for our results
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Give up on a server that does not answer after 20 seconds, not 15 minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    make_folder(home(), "SIGHTLINE_HOME")
    make_folder(prefect_home(), "PREFECT_HOME")
