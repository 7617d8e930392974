"""What a worker spends on an image and on a shard, in CPU seconds of this process, one thread.

A shard of many images and one of few take turns: their difference is what images cost, the rest is
the shard's own. A bare forward pass and the reading of the same images stand beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.scaling.subjects import Subject
from tasks.attribution.job import Job, read_shard
from tasks.attribution.memory import BATCH
from tasks.attribution.retry_policy import RetryPolicy
from tasks.attribution.shard import attribute_shard
from tasks.execution.attribution_stage import job_of
from tasks.execution.cluster import one_thread
from tasks.execution.settings import ComputeSettings
from tasks.pictures.rows import rows_of


@dataclass(frozen=True)
class Work:
    """CPU seconds of a worker, a round each."""

    image: list[float] = field(default_factory=list)  # an image, all of it
    shard: list[float] = field(default_factory=list)  # a shard besides its images
    read: list[float] = field(default_factory=list)  # an image and its mask read and decoded
    forward: list[float] = field(default_factory=list)  # a bare forward pass of an image

    @property
    def passes(self) -> list[float]:
        """An image without reading it, in forward passes."""
        rounds = zip(self.image, self.read, self.forward, strict=True)
        return [(image - read) / forward for image, read, forward in rounds]


def measure_work(subject: Subject, folder: Path, sizes: tuple[int, int], rounds: int) -> Work:
    """Two runs of the subject, in small and in large shards, a shard of each in turn."""
    runs = [
        subject.prepare(str(folder / f"of-{size}"), size, (1 + rounds) * size) for size in sizes
    ]
    jobs = [job_of(run, ComputeSettings(workers=1)) for run in runs]
    work = Work()
    with one_thread():
        for shard in range(1 + rounds):  # the first predicts the donors and warms up
            few, many = (_cpu(_shard_of(job, shard, subject)) for job in jobs)
            images = sizes[1] - sizes[0]
            reading = _cpu(_reading_of(jobs[0], shard)) / sizes[0]
            forward = _cpu(_forward_of(subject, BATCH)) / BATCH
            if shard:
                work.image.append((many - few) / images)
                work.shard.append(max(0.0, few - sizes[0] * (many - few) / images))
                work.read.append(reading)
                work.forward.append(forward)
    return work


def stored_bytes(subject: Subject, folder: Path, images: int) -> float:
    """An image, in the parts of a run; the donors, which are stored once, are not among them."""
    run = subject.prepare(str(folder / "run"), images, images)
    attribute_shard(job_of(run, ComputeSettings(workers=1)), 0, subject.classifier)
    parts = Path(str(run.path)).rglob("part-*.parquet")
    return sum(part.stat().st_size for part in parts) / images


def _shard_of(job: Job, shard: int, subject: Subject) -> Callable[[], object]:
    return lambda: attribute_shard(job, shard, subject.classifier)


def _reading_of(job: Job, shard: int) -> Callable[[], object]:
    batches = list(RetryPolicy().batches(rows_of(read_shard(job.run, shard)), BATCH))
    return lambda: list(job.reader.read_batches(batches, 1, BATCH))


def _forward_of(subject: Subject, batch: int) -> Callable[[], object]:
    rows, columns = subject.classifier.preprocessing.size
    image_BCHW = torch.zeros(batch, 3, rows, columns).to(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.no_grad():
            subject.classifier.network(image_BCHW)

    forward()
    return forward


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
