"""The whole story on generated pictures: a benchmark with a shortcut, a classifier, its audit."""

from __future__ import annotations

import logging
from pathlib import Path

from dask.system import CPU_COUNT
from prefect import flow, task

from flows.audit import audit
from flows.progress import steps_watched
from models.architectures import ModelSettings
from tasks.baseline import train_baseline
from tasks.catalog import DataSettings
from tasks.generate import BenchmarkSettings, write_benchmark
from tasks.store import OutputSettings

log = logging.getLogger("sightline")


@flow(name="demo")
def demo(folder: str) -> str:
    """Generate, train, audit. Returns the run folder."""
    table = generate(folder)
    bundle = train(folder)
    return audit(
        DataSettings(path=table, split="test"),
        ModelSettings(address=bundle),
        OutputSettings(run=str(Path(folder) / "run")),
    )


@task
def generate(folder: str) -> str:
    settings = BenchmarkSettings()
    log.info(
        "drawing %s pictures in which %.0f%% of each class stand on the background of their class",
        f"{settings.train + settings.validation + settings.test:,}",
        100 * settings.strength,
    )
    return str(write_benchmark(Path(folder) / "benchmark", settings, CPU_COUNT))


@task
def train(folder: str) -> str:
    with steps_watched("training") as told:
        return str(train_baseline(Path(folder) / "benchmark", Path(folder) / "model", told))
