"""What one process does for all images, however many workers there are: CPU seconds an image, from
runs of two lengths, so that what is done once does not count."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.explorer.made_runs import make_run
from benchmarks.speed.memory import prepare
from flows.audit import write_page
from tasks.execution.attribution_stage import find_unfinished, job_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress
from tasks.flags.settings import FlagSettings
from tasks.runs.folder import RunFolder
from tasks.schema import CostSummary
from tasks.summary.summarise import summarise

COMPUTE = ComputeSettings(workers=1)
COST = CostSummary(
    seconds=1.0, images_per_second=None, computed=0, reused=0, workers=1, devices=("cpu",)
)
STEPS = ("catalog", "unfinished shards", "flags, figures and page")


def measure_one_process(folder: Path, lengths: tuple[int, int]) -> dict[str, float]:
    """By step, CPU seconds an image."""
    few, many = (_steps(folder / f"{images}", images) for images in lengths)
    images = lengths[1] - lengths[0]
    return {step: (many[step] - few[step]) / images for step in STEPS}


def _steps(folder: Path, images: int) -> dict[str, float]:
    """CPU seconds of each step; flags, figures and page of an enlarged run."""
    (folder / "table").mkdir(parents=True)
    run = RunFolder.at(make_run(folder / "enlarged", images))
    catalog = _cpu(lambda: prepare(images, folder / "table", COMPUTE))
    job = job_of(RunFolder.at(folder / "table" / "run"), COMPUTE)
    unfinished = _cpu(lambda: list(find_unfinished(job, Progress(total=images))))
    flags = _cpu(lambda: (summarise(run, FlagSettings(), COST), write_page(run)))
    return dict(zip(STEPS, (catalog, unfinished, flags), strict=True))


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
