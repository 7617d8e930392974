"""Dask workers that only sleep, many in one process.

All else is the product's: the function that a worker runs, its plugin with the model, its answer.
"""

from __future__ import annotations

import asyncio
import sys
import time
from unittest.mock import patch

import dask
from distributed import Worker

from tasks.attribution.job import Job
from tasks.attribution.shard import ShardResult
from tasks.execution import shard_queue
from tasks.execution.cluster import DASK_SETTINGS
from tasks.schema import StepCost

_seconds = [0.0]  # that a shard sleeps


def set_seconds(seconds: float) -> None:
    """For all workers of this process."""
    _seconds[0] = seconds


def sleep(job: Job, shard: int, *_: object) -> ShardResult:
    """In place of attribute_shard, with an answer of the same size."""
    time.sleep(_seconds[0])
    images = job.identity.shard_size
    steps = tuple(
        StepCost(name=name, images=images, bytes=images, seconds=_seconds[0])
        for name in ("read", "compute", "write")
    )
    return ShardResult(shard, images, 0, 0, "cpu", _seconds[0], steps)


def main() -> None:
    """Of a process of its own: the scheduler's address, and how many workers."""
    with dask.config.set(DASK_SETTINGS), patch.object(shard_queue, "attribute_shard", sleep):
        asyncio.run(_work(sys.argv[1], int(sys.argv[2])))


async def _work(address: str, count: int) -> None:
    """Until the scheduler ends."""
    workers = [Worker(address, nthreads=1, dashboard=False) for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))
