"""The attribute stage: finds unfinished shards, runs them on a cluster, and reports the cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from models.errors import UnfinishedRun
from models.methods.registry import find_methods
from tasks.attribution.fingerprints import marks_of, specifications
from tasks.attribution.job import Job, UnfinishedShard, count_shards, read_shard
from tasks.attribution.layer_statistics import (
    count_parts,
    has_moments,
    layers_with_statistics,
    statistics_images_mark,
)
from tasks.attribution.predict_donors import has_donor_predictions
from tasks.attribution.settings import AttributionSettings, ComparisonSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.cluster import count_workers, decode_threads, model_on_workers, open_client
from tasks.execution.failed_images import refuse_without_predictions
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress, attribute_shards, gather_layer_statistics
from tasks.execution.work_size import note_own_process, settle_workers
from tasks.flags.settings import FlagSettings
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.contents import forget_notes, remove_temporary_files
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.runs.state import RunState
from tasks.schema import CostSummary
from tasks.storage.parquet import read_footer


def attribute_run(
    run: RunFolder, compute: ComputeSettings, scratch: str, on_progress: Callable[[Progress], None]
) -> CostSummary:
    """Compute every missing part of the run; starts no cluster when nothing is missing."""
    job = job_of(run, compute)
    remove_temporary_files(run)
    progress = Progress(total=read_footer(run.catalog).num_rows)
    unfinished = list(find_unfinished(job, progress))

    def report() -> None:
        on_progress(progress)
        _stop_at(compute.max_failures, progress)

    report()
    start, workers = time.perf_counter(), 0
    if unfinished:
        compute = settle_workers(compute, job, progress.total - progress.done)
        try:
            if compute.workers == 0:
                note_own_process(run)
            with open_client(compute, scratch) as client, model_on_workers(client, job):
                workers = count_workers(client)
                start = time.perf_counter()  # without starting the workers
                gather_layer_statistics(client, job, list(missing_moments(job)))
                attribute_shards(client, job, unfinished, progress, report)
        finally:
            remove_temporary_files(run)
            forget_notes(run)
    if progress.broken:
        run.check_not_deleted()
        raise UnfinishedRun(
            f"{progress.broken} of {len(unfinished)} shards failed ({progress.reason}); "
            f"{progress.done} of {progress.total} images are kept, and the same command continues"
        )
    refuse_without_predictions(run)
    seconds = time.perf_counter() - start
    return CostSummary(
        seconds=seconds,
        images_per_second=progress.computed / seconds if progress.computed else None,
        computed=progress.computed,
        reused=progress.reused,
        workers=workers,
        devices=tuple(sorted(progress.devices)),
        steps=tuple(progress.steps.values()),
    )


def job_of(run: RunFolder, compute: ComputeSettings) -> Job:
    """What workers need to know, read from the run folder."""
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
        statistics_images=statistics_images_mark(run),
        comparison=state.section("comparison", ComparisonSettings) if compares else None,
        patterns_method=_patterns_method(state),
    )


def _patterns_method(state: RunState) -> str | None:
    """The flags' method, whose maps patterns are found by; None where none are sought, as where
    pictures are not changed: a pattern is what changed pictures confirm."""
    if "patterns" not in state.settings:
        return None
    patterns = state.section("patterns", PatternSettings)
    changes = state.section("interventions", InterventionSettings)
    if "none" in (patterns.choice, changes.choice):
        return None
    flags = state.section("flags", FlagSettings) if "flags" in state.settings else FlagSettings()
    return flags.method


def missing_moments(job: Job) -> Iterator[tuple[str, int]]:
    """Layers, and parts of their statistics, that are not computed yet."""
    methods = find_methods(job.attribution.methods)
    for layer in layers_with_statistics(methods, job.identity.layer):
        for part in range(count_parts(job.run)):
            if not has_moments(job, layer, part):
                yield layer, part


def find_unfinished(job: Job, progress: Progress) -> Iterator[UnfinishedShard]:
    """The shards with a missing part; finished ones count as reused.

    One process does this before any worker starts: of a shard without predictions, which are
    written first, after their failures, nothing is read.
    """
    stages = specifications(job)
    folders = {PREDICTIONS, *(stage.failures for stage in stages if stage.failures is not None)}
    begun = {part.name for folder in folders for part in job.run.parts(folder)}
    for shard in range(count_shards(job.run)):
        if job.run.part(PREDICTIONS, shard).name not in begun:
            yield UnfinishedShard(shard, is_new=True)
            continue
        table = read_shard(job.run, shard)
        marks = marks_of(stages, table)
        ready = shard > 0 or has_donor_predictions(job)  # which shard 0 writes
        if ready and all(job.run.is_stage_finished(s, shard, mark) for s, mark in marks.items()):
            predicted = read_footer(job.run.part(PREDICTIONS, shard)).num_rows
            progress.reused += predicted
            progress.failed += len(table) - predicted
        else:
            yield UnfinishedShard(shard)


def _stop_at(limit: int | None, progress: Progress) -> None:
    if limit is not None and progress.failed > limit:
        raise UnfinishedRun(
            f"{progress.failed} images failed, more than --max-failures {limit}: see failures/ in "
            f"the run folder; {progress.done} of {progress.total} images are kept, and the same "
            "command continues with a larger limit or with mended files"
        )
