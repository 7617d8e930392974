"""Servers for the tests of a module: MLflow on loopback, without waiting between retries; and hosts
that are really apart, with an undisturbed audit on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts.deployment import Deployment, deployment
from tests.support.hosts.network import what_is_missing
from tests.support.mlflow_server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def without_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture(scope="session")
def deployed(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Four hosts, with the benchmark and its model on their S3."""
    if (reason := what_is_missing()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    with deployment(folder, tmp_path_factory.getbasetemp()) as made:
        made.put(benchmark_folder, "s3://data/pictures")
        made.put(bundle, "s3://data/model")
        yield made


@pytest.fixture
def hosts(deployed: Deployment) -> Iterator[Deployment]:
    """All of them work, before a test and after it."""
    yield deployed
    deployed.restore()


@pytest.fixture(scope="session")
def undisturbed(deployed: Deployment) -> Path:
    """A copy of the run of an audit during which nothing fails."""
    audit = deployed.audit("undisturbed")
    assert audit.end() == 0, audit.said
    return deployed.get("undisturbed")
