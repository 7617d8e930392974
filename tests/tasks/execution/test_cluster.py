"""A real Dask cluster: two processes, a model on each, and a shard or a model that is wrong."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from distributed import Client, LocalCluster

from models.errors import UnfinishedRun, UserError
from tasks.attribution.job import Job, UnfinishedShard
from tasks.execution.attribution_stage import attribute_run, job_of
from tasks.execution.cluster import (
    cancel,
    decode_threads,
    local_workers,
    model_on_workers,
    open_client,
    plugin_name,
)
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress, attribute_shards
from tasks.runs.folder import RunFolder

TWO = ComputeSettings(workers=2)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(TWO, str(tmp_path_factory.mktemp("dask"))) as client:
        yield client


def test_the_environment_of_this_process_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    before = dict(os.environ)
    with open_client(ComputeSettings(workers=1), str(tmp_path)) as client:
        (inside,) = client.run(lambda: dict(os.environ)).values()
    assert (inside["PYTHONSAFEPATH"], inside["MALLOC_ARENA_MAX"]) == ("1", "7")  # as the user says
    after = {name: text for name, text in os.environ.items() if not name.startswith("__DASK")}
    assert after == {name: text for name, text in before.items() if not name.startswith("__DASK")}


@pytest.fixture
def copy(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))


def plugins(client: Client, job: Job) -> list[bool]:
    name = plugin_name(job)
    return list(client.run(lambda dask_worker: name in dask_worker.plugins).values())


def test_workers_compute_shards_and_unload_the_model(client: Client, copy: RunFolder) -> None:
    shutil.rmtree(copy.path / "maps")
    job = job_of(copy, TWO)
    progress = Progress(total=64)
    done = []
    with model_on_workers(client, job):
        assert plugins(client, job) == [True, True]
        attribute_shards(
            client,
            job,
            map(UnfinishedShard, range(2)),
            progress,
            lambda: done.append(progress.done),
        )
    assert (progress.computed, progress.reused, progress.failed) == (64, 0, 0)
    assert done[-1] == 64
    assert progress.devices == {"cpu"}
    assert {name: step.images for name, step in progress.steps.items()} == dict.fromkeys(
        ("read", "compute", "write"), 64
    )
    assert plugins(client, job) == [False, False]


def test_ctrl_c_on_the_terminal_is_not_for_workers(client: Client) -> None:
    workers = client.run(os.getpid)
    for process in workers.values():
        os.kill(process, signal.SIGINT)
    assert client.submit(abs, -1).result() == 1
    assert client.run(os.getpid) == workers  # none was started again


def test_audits_that_share_a_cluster_keep_their_models_apart(
    client: Client, copy: RunFolder, tmp_path: Path
) -> None:
    other = RunFolder(Path(shutil.copytree(copy.path, tmp_path / "other")))
    first, second = job_of(copy, TWO), job_of(other, TWO)
    with model_on_workers(client, first):
        with model_on_workers(client, second):
            assert plugins(client, first) == plugins(client, second) == [True, True]
        assert plugins(client, first) == [True, True]


@pytest.mark.parametrize("given_up", ["its connections", "the client"])
def test_a_client_that_was_given_up_hides_no_error(
    client: Client, copy: RunFolder, given_up: str
) -> None:
    """As where the scheduler was away for long: what ended the block is what is told."""
    job = job_of(copy, TWO)
    scheduler = client.cluster.scheduler_address
    with (
        Client(scheduler, security=client.security, set_as_default=False) as other,
        pytest.raises(CancelledError, match="what happened"),
        model_on_workers(other, job),
    ):
        future = other.submit(abs, -1)
        if given_up == "the client":
            other.close()
        else:
            other.sync(other.rpc.close)
        cancel(other, [future])
        raise CancelledError("what happened")


@pytest.mark.full
def test_threads_of_one_worker_take_turns(copy: RunFolder) -> None:
    shutil.rmtree(copy.path / "maps")
    job = job_of(copy, TWO)
    progress = Progress(total=64)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as threaded,
        model_on_workers(threaded, job),
    ):
        attribute_shards(threaded, job, map(UnfinishedShard, range(2)), progress, lambda: None)
    assert progress.broken == 0
    assert progress.computed == 64


def test_a_worker_that_reads_another_model_is_refused(client: Client, copy: RunFolder) -> None:
    job = job_of(copy, TWO)
    with (
        pytest.raises(UserError, match="reads another model at"),
        model_on_workers(
            client,
            replace(job, identity=job.identity.model_copy(update={"model": "another digest"})),
        ),
    ):
        pytest.fail("the model was accepted")


def test_a_shard_that_raises_does_not_stop_the_others(client: Client, copy: RunFolder) -> None:
    shutil.rmtree(copy.path / "maps")
    (copy.path / "maps").mkdir()
    (copy.path / "maps" / "grad_cam").mkdir()
    copy.part("maps/grad_cam", 0).mkdir()  # no part can replace it
    (copy.part("maps/grad_cam", 0) / "x").touch()
    job = job_of(copy, TWO)
    progress = Progress(total=64)
    with model_on_workers(client, job):
        attribute_shards(client, job, map(UnfinishedShard, range(2)), progress, lambda: None)
    assert progress.computed == 24
    assert progress.broken == 1
    assert "\n" not in progress.reason


def test_a_run_that_is_not_finished_says_what_is_kept(copy: RunFolder, tmp_path: Path) -> None:
    lost = copy.part("maps/grad_cam", 0)
    lost.unlink()
    lost.mkdir()
    (lost / "x").touch()
    with pytest.raises(UnfinishedRun, match=r"1 of 1 shards failed .* 24 of 64 images are kept"):
        attribute_run(copy, ComputeSettings(workers=1), str(tmp_path / "dask"), lambda _: None)


@pytest.mark.full
def test_temporary_files_of_killed_workers_are_deleted(copy: RunFolder, tmp_path: Path) -> None:
    copy.part("maps/grad_cam", 1).unlink()
    left = copy.path / f"maps/grad_cam/.part-00000.parquet.{uuid4().hex}.tmp"
    left.touch()
    attribute_run(copy, ComputeSettings(workers=1), str(tmp_path / "dask"), lambda _: None)
    assert not left.exists()
    assert copy.part("maps/grad_cam", 1).exists()


def test_a_finished_run_needs_no_cluster(copy: RunFolder) -> None:
    nowhere = ComputeSettings(dask="tcp://127.0.0.1:9")
    cost = attribute_run(copy, nowhere, "unused", lambda _: None)
    assert (cost.computed, cost.reused, cost.images_per_second) == (0, 64, None)


def test_a_shard_that_a_dead_worker_finished_counts_as_computed(
    client: Client, copy: RunFolder
) -> None:
    """Its result is lost with the worker, and Dask runs it again by itself."""
    job = job_of(copy, TWO)
    progress = Progress(total=64)
    with model_on_workers(client, job):
        attribute_shards(client, job, map(UnfinishedShard, range(2)), progress, lambda: None)
    assert (progress.computed, progress.reused, progress.devices) == (64, 0, set())


def test_a_job_without_its_model_is_not_run(client: Client, copy: RunFolder) -> None:
    shutil.rmtree(copy.path / "maps")
    progress = Progress(total=64)
    job = replace(job_of(copy, TWO), batch_size=8)
    attribute_shards(client, job, map(UnfinishedShard, range(1)), progress, lambda: None)
    assert progress.broken == 1


def test_workers_and_threads_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.execution.cluster.CPU_COUNT", 8)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert local_workers(ComputeSettings()) == 8
    assert decode_threads(ComputeSettings()) == 1
    assert decode_threads(ComputeSettings(workers=1)) == 7
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert local_workers(ComputeSettings()) == 2
    assert decode_threads(ComputeSettings()) == 3
