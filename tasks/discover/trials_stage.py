"""Trials on Dask: each is a part of the run, so that a stopped run goes on after the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
from distributed import Client, as_completed, get_worker
from upath import UPath

from models.addresses import as_os_errors
from tasks.attribution.fingerprints import exchange_specification
from tasks.attribution.job import Job
from tasks.discover.trial import FIRST, Trial, run_trial
from tasks.execution.cluster import (
    ModelPlugin,
    cancel,
    has_gpus,
    model_on_workers,
    open_client,
    plugin_name,
)
from tasks.execution.settings import ComputeSettings
from tasks.execution.silence_watch import SilenceWatch
from tasks.execution.work_size import EXCHANGES, settle_workers
from tasks.runs.folder import Mark, digest, is_finished, write_part
from tasks.runs.stages import PATTERN_TRIALS
from tasks.storage.parquet import read_table

VERSION = 1  # of what a trial measures

OnProgress = Callable[[int, int], None]  # trials done, and of how many


def run_trials(
    job: Job,
    compute: ComputeSettings,
    scratch: str,
    trials: Mapping[int, Trial],
    on_progress: OnProgress,
) -> dict[int, pa.Table]:
    """The table of each trial, by its number. Starts no cluster where all are there."""
    marks = {number: _mark(job, trial) for number, trial in trials.items()}
    missing = [it for it, mark in marks.items() if not is_finished(_path(job, it), mark)]
    if missing:
        pictures = sum(_least_pictures(trials[number]) for number in missing)
        settled = settle_workers(compute, job, pictures // EXCHANGES)
        with open_client(settled, scratch) as client, model_on_workers(client, job):
            _run_on(client, job, {it: trials[it] for it in missing}, marks, on_progress)
    return {
        number: read_table(_path(job, number), expected=PATTERN_TRIALS.columns) for number in trials
    }


def _run_on(
    client: Client,
    job: Job,
    trials: Mapping[int, Trial],
    marks: dict[int, Mark],
    on_progress: OnProgress,
) -> None:
    resources = {"GPU": 1} if has_gpus(client) else None
    futures = [
        client.submit(
            _run_one, job, index, trial, marks[index], pure=False, resources=resources, retries=1
        )
        for index, trial in trials.items()
    ]
    try:
        with SilenceWatch(client, lambda: futures) as watch:
            for done, future in enumerate(as_completed(futures, loop=client.loop), 1):
                watch.end_silence()
                future.result()
                on_progress(done, len(futures))
    except BaseException:
        cancel(client, futures)
        raise


def _run_one(job: Job, index: int, trial: Trial, mark: Mark) -> None:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.lock, as_os_errors():
        made = run_trial(job, trial, plugin.load(worker))
        write_part(_path(job, index), made, mark)


def _path(job: Job, index: int) -> UPath:
    return job.run.part(PATTERN_TRIALS, index)


def _mark(job: Job, trial: Trial) -> Mark:
    """By what a Trial prints: whoever renames one of its fields makes every trial anew."""
    specification = digest(VERSION, exchange_specification(job))
    return Mark(specification, digest(specification, trial))


def _least_pictures(trial: Trial) -> int:
    """That it makes at least."""
    return FIRST * (len(trial.exemplars) + len(trial.controls))
