"""The attribute stage: which shards are not finished, a cluster for them, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from models.errors import UnfinishedRun
from models.methods.registry import find_methods
from tasks.attribution.donor_predictions import has_donor_predictions
from tasks.attribution.fingerprints import marks_of
from tasks.attribution.job import Job, count_shards, read_shard
from tasks.attribution.layer_statistics import (
    count_parts,
    is_surveyed,
    survey_mark,
    surveyed_layers,
)
from tasks.attribution.retries import forget_notes
from tasks.attribution.settings import AttributionSettings, ComparisonSettings
from tasks.execution.cluster import count_workers, decode_threads, open_client, with_model
from tasks.execution.dispatch import Progress, attribute_shards, survey_layers
from tasks.execution.settings import ComputeSettings
from tasks.interventions.donors import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.folder import RunFolder, is_finished
from tasks.runs.stages import PREDICTIONS
from tasks.schema import CostSummary
from tasks.storage.files import read_footer, remove_temporary_files


def attribute_run(
    run: RunFolder, compute: ComputeSettings, scratch: str, on_progress: Callable[[Progress], None]
) -> CostSummary:
    """Compute every part of the run that is not there; costs no cluster when all are."""
    job = job_of(run, compute)
    remove_temporary_files(run.path)
    progress = Progress(total=read_footer(run.catalog).num_rows)
    unfinished = list(_find_unfinished(job, progress))

    def report() -> None:
        on_progress(progress)
        _stop_at(compute.max_failures, progress)

    report()
    start, workers = time.perf_counter(), 0
    if unfinished:
        try:
            with open_client(compute, scratch) as client, with_model(client, job):
                workers = count_workers(client)
                start = time.perf_counter()  # without the start of the workers
                survey_layers(client, job, list(missing_surveys(job)))
                attribute_shards(client, job, unfinished, progress, report)
        finally:
            remove_temporary_files(run.path)
            forget_notes(run)
    if progress.broken:
        raise UnfinishedRun(
            f"{progress.broken} of {len(unfinished)} shards failed ({progress.reason}); "
            f"{progress.done} of {progress.total} images are kept, and the same command continues"
        )
    seconds = time.perf_counter() - start
    return CostSummary(
        seconds=seconds,
        images_per_second=progress.computed / seconds if progress.computed else None,
        computed=progress.computed,
        reused=progress.reused,
        workers=workers,
        devices=tuple(sorted(progress.devices)),
    )


def job_of(run: RunFolder, compute: ComputeSettings) -> Job:
    """What workers need to know, from what the run folder says of itself."""
    state = run.read_state()
    assert state.model is not None  # the run was prepared
    compares = "comparison" in state.settings
    return Job(
        run=run,
        model=state.model,
        attribution=state.section("attribution", AttributionSettings),
        identity=state.identity,
        batch_size=compute.batch_size,
        decode_threads=decode_threads(compute),
        reuse=state.reuse,
        interventions=state.section("interventions", InterventionSettings),
        foreground=state.section("foreground", ForegroundSettings),
        donors=donor_digest(run),
        survey=survey_mark(run),
        comparison=state.section("comparison", ComparisonSettings) if compares else None,
    )


def missing_surveys(job: Job) -> Iterator[tuple[str, int]]:
    """Layers, and parts of the survey, whose moments are not there."""
    methods = find_methods(job.attribution.methods)
    for layer in surveyed_layers(methods, job.identity.layer):
        for part in range(count_parts(job.run)):
            if not is_surveyed(job, layer, part):
                yield layer, part


def _find_unfinished(job: Job, progress: Progress) -> Iterator[int]:
    """The shards with a part that is not there; those that are finished count as reused."""
    for shard in range(count_shards(job.run)):
        table = read_shard(job.run, shard)
        marks = marks_of(job, table)
        voted = shard > 0 or has_donor_predictions(job)
        if voted and all(is_finished(job.run.part(s, shard), mark) for s, mark in marks.items()):
            predicted = read_footer(job.run.part(PREDICTIONS, shard)).num_rows
            progress.reused += predicted
            progress.failed += len(table) - predicted
        else:
            yield shard


def _stop_at(most: int | None, progress: Progress) -> None:
    if most is not None and progress.failed > most:
        raise UnfinishedRun(
            f"{progress.failed} images failed, more than --max-failures {most}: see failures/ in "
            f"the run folder; {progress.done} of {progress.total} images are kept, and the same "
            "command continues with a larger limit or with mended files"
        )
