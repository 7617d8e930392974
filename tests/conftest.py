"""What many tests stand on: small generated benchmarks, models for them, and their audits."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from benchmarks.chromium import Browser, start_chromium
from tasks.runs.folder import RunFolder
from tasks.synthetic.dataset import write_benchmark
from tests.support.audits import (
    BENCHMARK,
    MANY_CLASSES,
    audit_test_split,
    perturb_head,
    save_untrained_model,
)


def pytest_configure() -> None:
    """Prefect and MLflow read the environment when they are imported: a home for the tests."""
    from flows.settings.environment import prepare_environment

    hypothesis.settings.register_profile("busy", deadline=None)  # of a busy core, time says nothing
    hypothesis.settings.load_profile("busy")
    torch.set_num_threads(1)  # on busy cores, threads that wait for each other cost ten times more
    os.environ["SIGHTLINE_HOME"] = tempfile.mkdtemp(prefix="sightline-tests-")
    prepare_environment()


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["SIGHTLINE_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _log_is_heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By `caplog`, also after Prefect or a command has kept our lines for its own handlers."""
    log = logging.getLogger("sightline")
    monkeypatch.setattr(log, "propagate", True)
    level = log.level
    log.setLevel(level or logging.WARNING)
    yield
    log.setLevel(level)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for all tests that run a flow in this process."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=300), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())  # for commands in this process
        yield


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 balanced test pictures and 32 training pictures, with masks."""
    folder = tmp_path_factory.mktemp("generated") / "benchmark"
    write_benchmark(folder, BENCHMARK)
    return folder


@pytest.fixture(scope="session")
def bundle(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small network that predicts every class of the benchmark."""
    return save_untrained_model(tmp_path_factory.mktemp("model"), benchmark_folder)


@pytest.fixture(scope="session")
def other_bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with noise on its head: some of its answers are others."""
    return perturb_head(bundle, tmp_path_factory.mktemp("other-model"))


@pytest.fixture(scope="session")
def many_classes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred classes: two test pictures and a training picture of each, with masks."""
    folder = tmp_path_factory.mktemp("generated") / "many-classes"
    write_benchmark(folder, MANY_CLASSES)
    return folder


@pytest.fixture(scope="session")
def many_classes_bundle(
    many_classes_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An untrained small network that predicts many of the hundred classes."""
    return save_untrained_model(tmp_path_factory.mktemp("model"), many_classes_folder)


@pytest.fixture(scope="session")
def many_classes_run(
    many_classes_folder: Path, many_classes_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The 200 test pictures of a hundred classes, audited. For reading only."""
    folder = tmp_path_factory.mktemp("runs") / "many-classes"
    return audit_test_split(folder, many_classes_folder, many_classes_bundle)


@pytest.fixture(scope="session")
def finished_run(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The benchmark's test split, audited in two shards. For reading only."""
    return audit_test_split(tmp_path_factory.mktemp("runs") / "finished", benchmark_folder, bundle)


@pytest.fixture(scope="session")
def other_run(
    benchmark_folder: Path, other_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The finished run's images, audited with the other model. For reading only."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    return audit_test_split(folder, benchmark_folder, other_bundle)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with start_chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started
