"""What a shard costs coordinator and scheduler, and how long shards that only sleep take: the
product's own loop on a real Dask scheduler, each of the three in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client
from PIL import Image

from benchmarks.audit_in_process import random_model, start_audit
from benchmarks.scaling.sleeping_workers import set_seconds
from flows.runtime.progress import show_progress
from models.classifier.small_resnet import small_preprocessing
from tasks.attribution.job import Job, UnfinishedShard
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.cluster import model_on_workers, open_client
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress, attribute_shards

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds for a process to start on a busy machine
SIZE = 256  # images of a shard, by default


@dataclass(frozen=True)
class Measured:
    """Of some shards, each: seconds on the clock, and of CPU by process."""

    shards: int
    wall: float
    coordinator: float
    scheduler: float
    workers: float

    @property
    def seconds(self) -> float:
        """Of all of them."""
        return self.shards * self.wall


@dataclass(frozen=True)
class SleepingCluster:
    """A scheduler, and workers that only sleep; the run whose shards they are given."""

    client: Client
    job: Job
    workers: int
    scheduler_process: int
    worker_process: int

    def compute(self, shards: int, seconds: float) -> Measured:
        """So many shards that sleep so long, from the first submitted to the last counted."""
        self.client.run(set_seconds, seconds)
        progress = Progress(total=shards * self.job.identity.shard_size)
        processes = (os.getpid(), self.scheduler_process, self.worker_process)
        before, start = [_cpu(process) for process in processes], time.perf_counter()
        with show_progress("shards that sleep") as show:
            numbers = [UnfinishedShard(number, is_new=True) for number in range(shards)]
            attribute_shards(self.client, self.job, numbers, progress, lambda: show(progress))
        wall = time.perf_counter() - start
        spent = [_cpu(it) - was for it, was in zip(processes, before, strict=True)]
        if progress.broken or progress.done != progress.total:
            raise RuntimeError(f"not every shard has slept: {progress}")
        return Measured(shards, wall / shards, *(it / shards for it in spent))


@contextmanager
def sleeping_cluster(folder: Path, workers: int) -> Iterator[SleepingCluster]:
    """So many workers in one process; the folder must be empty."""
    job = _job(folder)
    file = folder / "scheduler.json"
    here = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
    dask = Path(sys.executable).with_name("dask")
    with (
        _process(folder, str(dask), "scheduler", *here, "--scheduler-file", str(file)) as scheduler,
        _workers(folder, _address(file), workers) as sleeping,
        open_client(ComputeSettings(dask=_address(file)), str(folder / "dask")) as client,
    ):
        client.wait_for_workers(workers, timeout=PATIENCE)
        with model_on_workers(client, job):
            yield SleepingCluster(client, job, workers, scheduler, sleeping)


def _workers(folder: Path, address: str, count: int) -> AbstractContextManager[int]:
    program = f"from {set_seconds.__module__} import main; main()"  # as its functions are named
    return _process(folder, sys.executable, "-c", program, address, str(count))


def _job(folder: Path) -> Job:
    """Of a real run: what is sent with each shard has its true size."""
    images = folder / "images"
    images.mkdir()
    Image.new("RGB", (64, 64)).save(images / "image.png")
    started = start_audit(
        DataSettings(path=str(images)),
        random_model("sightline:small_resnet", folder, small_preprocessing()),
        AttributionSettings(shard_size=SIZE),
        ComputeSettings(workers=1),
        folder / "audit",
    )
    return started.job


@contextmanager
def _process(folder: Path, *words: str) -> Iterator[int]:
    """Its id; it ends with the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "processes.log").open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, env=environment)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _address(file: Path) -> str:
    """That the scheduler writes once it is there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.1)
    raise TimeoutError(f"no scheduler within {PATIENCE:.0f} s")


def _cpu(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)
