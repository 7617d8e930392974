"""An MLflow on SQLite for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tasks.tracking.settings import Tracking


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database made by MLflow, to be copied: making one takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking(database: Path, tmp_path: Path) -> Tracking:
    shutil.copy(database, tmp_path / "mlflow.db")
    artifacts = (tmp_path / "artifacts").as_uri()
    return Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "tests", artifacts)
