"""What many tests stand on: a small generated benchmark, a model for it, and a finished run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.architectures import BuiltNetwork, ModelSettings
from models.classifier.classifier import check_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.small_resnet import small_resnet
from tasks.attribution.job import AttributionSettings, AuditRequest
from tasks.catalog.catalog import DataSettings
from tasks.flags.flags import FlagSettings
from tasks.runs.folder import RunFolder
from tasks.summary.summarise import summarise
from tasks.synthetic.baseline import training_images_of
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings

BENCHMARK = BenchmarkSettings(train=32, validation=0, test=64)


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


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for all tests that run a flow in this process."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 balanced test pictures and 32 training pictures, with masks."""
    folder = tmp_path_factory.mktemp("generated") / "benchmark"
    write_benchmark(folder, BENCHMARK)
    return folder


@pytest.fixture(scope="session")
def bundle(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small network for the benchmark, as our bundle; seeded, so always the same."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = small_resnet(len(BENCHMARK.classes))
    address = "sightline:small_resnet"
    prepared = Preprocessing(crop=(BENCHMARK.image_size, BENCHMARK.image_size))
    _spread(network, benchmark_folder, prepared)
    built = BuiltNetwork(network, address, classes=BENCHMARK.classes, preprocessing=prepared)
    save_bundle(folder, check_classifier(built, ModelSettings(address=address)))
    return folder


def _spread(network: torch.nn.Module, folder: Path, preprocessing: Preprocessing) -> None:
    """Scale the head, so that the network predicts every class: fresh ones predict one."""
    images = training_images_of(folder, "train", preprocessing)
    head = network.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        logits_NK = network.eval()(preprocessing.normalise(images.image_NCHW))
        scale_K = 2 / logits_NK.std(0)
        head.weight *= scale_K[:, None]
        head.bias.copy_((head.bias - logits_NK.mean(0)) * scale_K)


def run_here(
    folder: Path,
    data: DataSettings,
    model: ModelSettings,
    attribution: AttributionSettings = AttributionSettings(),
    asked: AuditRequest | None = None,
) -> RunFolder:
    """The stages of an audit up to summary.json in this process: no Prefect, no Dask."""
    run, cost = attribute_in_process(folder, model, asked or AuditRequest(data, attribution))
    summarise(run, FlagSettings(), cost)
    return run


@pytest.fixture(scope="session")
def finished_run(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The benchmark's test split, audited in two shards. For reading only."""
    return run_here(
        tmp_path_factory.mktemp("runs") / "finished",
        DataSettings(path=str(benchmark_folder), split="test"),
        ModelSettings(address=str(bundle)),
        AttributionSettings(shard_size=40),
    )
