"""One shard: decode once, run one pass, and write every missing part."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.classifier.classifier import Classifier
from models.errors import ForwardError
from tasks.attribution.batch import explain_batch, explain_within_memory
from tasks.attribution.encode import encode_failures
from tasks.attribution.fingerprints import marks_of, specifications
from tasks.attribution.job import Job, read_shard
from tasks.attribution.layer_statistics import layers_with_statistics, read_statistics
from tasks.attribution.memory import batch_size_of, room_of
from tasks.attribution.plan import Plan
from tasks.attribution.predict_donors import write_donor_predictions
from tasks.attribution.retry_policy import RetryPolicy, write_note
from tasks.attribution.reuse import ReusedRows, reuse_rows
from tasks.attribution.sanity_rows import is_tested
from tasks.interventions.donors import read_donors
from tasks.interventions.intervene import Interventions
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Failure, Sample
from tasks.runs.folder import Mark, write_part
from tasks.runs.stages import (
    FAILED_PREDICTIONS,
    FAILURES,
    INTERVENTIONS,
    PREDICT,
    PREDICTIONS,
    SCORES,
    Stage,
)
from tasks.schema import StepCost

BATCHES_AHEAD = 3  # decoded while one is computed
UNREAD = ("read", "worker")  # stages of failures that leave an image without a prediction
BEFORE_MAPS = (*UNREAD, "foreground", PREDICT)

Tables = dict[Stage, pa.Table]


@dataclass(frozen=True)
class ShardResult:
    """What a worker returns: counts, never maps."""

    shard: int
    computed: int
    reused: int
    failed: int  # images that could not be read
    device: str  # empty where nothing was missing
    seconds: float
    steps: tuple[StepCost, ...] = ()


@dataclass(frozen=True)
class _RemainingWork:
    """What remains to be computed of one shard."""

    job: Job
    shard: int
    plan: Plan
    rows: Sequence[Row]
    policy: RetryPolicy


def attribute_shard(
    job: Job,
    shard: int,
    classifier: Classifier,
    policy: RetryPolicy = RetryPolicy(),
    is_new: bool = False,
) -> ShardResult:
    """Compute the missing parts of one shard, all of a new one; a finished shard costs nothing."""
    start = time.perf_counter()
    if shard == 0:
        write_donor_predictions(job, classifier)
    table = read_shard(job.run, shard)
    missing = {
        stage: mark
        for stage, mark in marks_of(specifications(job), table).items()
        if is_new or not job.run.is_stage_finished(stage, shard, mark)
    }
    if not missing:
        return ShardResult(shard, 0, len(table), 0, "", time.perf_counter() - start)
    reused = reuse_rows(job, shard, table, missing, is_new)
    rows = [row for row in rows_of(table) if any(row.row_id not in reused.done[s] for s in missing)]
    plan = _make_plan(job, shard, classifier, missing)
    computing = time.perf_counter()
    computed, failures, waited = _compute(_RemainingWork(job, shard, plan, rows, policy))
    writing = time.perf_counter()
    parts = _join(table["row_id"], missing, computed, reused)
    kept = _group_failures(failures, reused, missing)
    _write(job, shard, missing, parts, kept)
    if not is_new:
        _forget_failures(job, shard, missing, kept)
    ended = time.perf_counter()
    lost = {failure.row_id for failure in failures if failure.stage in UNREAD}
    failed = lost | {f.row_id for f in reused.failures[FAILED_PREDICTIONS] if f.stage in UNREAD}
    return ShardResult(
        shard,
        computed=len(rows) - len(lost),
        reused=len(table) - len(rows) - len(failed - lost),
        failed=len(failed),
        device=str(plan.device),
        seconds=ended - start,
        steps=(
            _cost("read", len(rows), waited),
            _cost("compute", len(rows) - len(lost), writing - computing - waited),
            _cost("write", len(table), ended - writing, sum(it.nbytes for it in parts.values())),
        ),
    )


def _cost(
    name: Literal["read", "compute", "write"], images: int, seconds: float, size: int | None = None
) -> StepCost:
    return StepCost(name=name, images=images, bytes=size, seconds=seconds)


def _make_plan(job: Job, shard: int, classifier: Classifier, missing: Mapping[Stage, Mark]) -> Plan:
    plan = Plan(classifier, job.attribution, frozenset(missing), _make_interventions(job, missing))
    layers = layers_with_statistics(plan.methods, classifier.layer)
    return replace(
        plan,
        statistics={layer: read_statistics(job, layer) for layer in layers},
        room=room_of(classifier.network, classifier.preprocessing.size, classifier.device),
        tested=is_tested(job, shard),
    )


def _make_interventions(job: Job, missing: Mapping[Stage, Mark]) -> Interventions | None:
    needed = any(stage.is_one_of(INTERVENTIONS, SCORES) for stage in missing)
    if not needed or job.donors is None or job.interventions is None:
        return None
    size, settings = job.reader.preprocessing.size, job.interventions
    return Interventions(settings, read_donors(job.run, size, settings.fill, job.donors))


def _compute(work: _RemainingWork) -> tuple[Tables, list[Failure], float]:
    """The table of each stage, of the remaining rows, their failures, and the seconds that passed
    until their pictures were read."""
    records: dict[Stage, list[pa.RecordBatch]] = defaultdict(list)
    failures = work.policy.failures(work.rows)
    waited, asked = 0.0, time.perf_counter()
    for batch in _read_batches(work):
        waited += time.perf_counter() - asked
        failures += [item for item in batch if isinstance(item, Failure)]
        samples = [item for item in batch if isinstance(item, Sample)]
        for explained, failed in explain_within_memory(work.plan, samples):
            failures += failed
            for stage, record in explained.items():
                records[stage].append(record)
        asked = time.perf_counter()
    if not records:  # no image was readable: empty parts with the right columns
        with suppress(ForwardError):
            explained, _ = explain_batch(work.plan, [_make_blank(work.plan.classifier)])
            records |= {stage: [record[:0]] for stage, record in explained.items()}
    tables = {stage: pa.Table.from_batches(batches) for stage, batches in records.items()}
    empty = {s: s.columns.empty_table() for s in work.plan.stages if s.columns is not None}
    return empty | tables, failures, waited


def _read_batches(work: _RemainingWork) -> Iterator[list[Sample | Failure]]:
    """Batches in order, some read ahead; after a death one by one, each noted before it is read."""
    job, reader = work.job, work.job.reader
    size = batch_size_of(job.batch_size, work.plan.classifier)
    batches = list(work.policy.batches(work.rows, size))
    ahead = BATCHES_AHEAD * size
    if not work.policy.noted:
        yield from reader.read_batches(batches, job.decode_threads, ahead)
        return
    for batch in batches:
        write_note(job.run, work.shard, batch)
        yield from reader.read_batches([batch], job.decode_threads, ahead)


def _join(
    row_ids: pa.ChunkedArray, missing: Mapping[Stage, Mark], computed: Tables, reused: ReusedRows
) -> Tables:
    """For each missing stage, computed and reused rows in the catalog's order."""
    tables = {}
    for stage in missing:
        table = computed[stage]
        if reused.parts[stage]:
            done = pa.array(sorted(reused.done[stage]), pa.string())
            new = table.filter(pc.invert(pc.is_in(table["row_id"], done)))
            table = pa.concat_tables([new, *reused.parts[stage]]).unify_dictionaries()
            order = pc.index_in(row_ids, table["row_id"].combine_chunks()).drop_null()
            table = table.take(order)
        tables[stage] = table
    return tables


def _group_failures(
    failures: Sequence[Failure], reused: ReusedRows, missing: Mapping[Stage, Mark]
) -> dict[Stage, list[Failure]]:
    """Failures by the stage that keeps them: predictions, or the maps that are missing.

    A row that has its prediction, and now only lacked maps, keeps it.
    """
    groups = defaultdict(list, {stage: list(kept) for stage, kept in reused.failures.items()})
    predicted = reused.done[PREDICTIONS] if PREDICTIONS in missing else None  # None: all
    folders = {kept for stage in missing if (kept := stage.failures)} - {FAILED_PREDICTIONS}
    for failure in failures:
        if failure.stage not in BEFORE_MAPS:
            groups[FAILURES.of(failure.stage)].append(failure)
        elif predicted is not None and failure.row_id not in predicted:
            groups[FAILED_PREDICTIONS].append(failure)
        else:
            for folder in folders:
                groups[folder].append(failure)
    return groups


def _write(
    job: Job,
    shard: int,
    missing: Mapping[Stage, Mark],
    parts: Tables,
    failures: Mapping[Stage, Sequence[Failure]],
) -> None:
    """Write failures before their part, since a finished part means that they are complete."""
    job.run.check_not_deleted()
    transient = sum(f.kind == "transient" for group in failures.values() for f in group)
    for stage, mark in missing.items():
        folder = stage.failures
        if folder is not None and failures[folder]:
            path = job.run.part(folder, shard)
            write_part(path, encode_failures(failures[folder]), mark, transient)
        write_part(job.run.part(stage, shard), parts[stage], mark, transient)


def _forget_failures(
    job: Job,
    shard: int,
    missing: Mapping[Stage, Mark],
    failures: Mapping[Stage, Sequence[Failure]],
) -> None:
    """Remove those of an earlier try that did not fail again: after their part is written, since
    a part without a row's result and without its failure would take the row for done."""
    for stage in missing:
        if stage.failures is not None and not failures[stage.failures]:
            job.run.part(stage.failures, shard).unlink(missing_ok=True)


def _make_blank(classifier: Classifier) -> Sample:
    picture_CHW = torch.zeros(3, *classifier.preprocessing.size, dtype=torch.uint8)
    return Sample(Row("", "", classifier.classes[0]), "", picture_CHW, None)
