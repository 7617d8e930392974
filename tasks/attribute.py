"""One shard: decode once, pass once, write every part that is wanted and not there."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import torch

from models.classifier import Classifier
from tasks.encode import encode_failures
from tasks.explain import Plan, explain
from tasks.read import Failure, Row, Sample, read_ahead, read_sample
from tasks.shard import Job, marks_of, read_shard, rows_of
from tasks.store import Mark, is_finished, write_part

AHEAD = 3  # batches decoded while one is computed


@dataclass(frozen=True)
class ShardDone:
    """What comes back from a worker: counts, never maps."""

    shard: int
    computed: int
    reused: int
    failed: int  # images that could not be read
    device: str
    seconds: float


def attribute_shard(job: Job, shard: int, classifier: Classifier) -> ShardDone:
    """Compute the missing parts of one shard; a shard whose parts are all there costs nothing."""
    start = time.perf_counter()
    table = read_shard(job.run, shard)
    missing = {
        stage: mark
        for stage, mark in marks_of(job, table).items()
        if not is_finished(job.run.part(stage, shard), mark)
    }
    plan = Plan(classifier, job.attribution, frozenset(missing))
    rows = rows_of(table)
    failures: list[Failure] = []
    if missing:
        parts = _compute(job, plan, rows, failures)
        _write(job, shard, missing, parts, failures)
    failed = sum(failure.stage == "read" for failure in failures)
    computed = len(rows) - failed if missing else 0
    return ShardDone(
        shard,
        computed,
        reused=0 if missing else len(rows),
        failed=failed,
        device=str(plan.device),
        seconds=time.perf_counter() - start,
    )


def _compute(
    job: Job, plan: Plan, rows: Sequence[Row], failures: list[Failure]
) -> dict[str, pa.Table]:
    """The table of each stage for all rows of a shard; adds to the failures."""
    batches: dict[str, list[pa.RecordBatch]] = defaultdict(list)
    read = partial(read_sample, preprocessing=plan.classifier.preprocessing, ground=job.ground)
    samples = read_ahead(rows, read, job.decode_threads, AHEAD * job.batch_size)
    for batch in _in_batches(_readable(samples, failures), job.batch_size):
        explained, failed = explain(plan, batch)
        failures += failed
        for stage, record in explained.items():
            batches[stage].append(record)
    if not batches:  # nothing could be read: parts with the right columns and no rows
        explained, _ = explain(plan, [_blank(plan.classifier)])
        batches |= {stage: [record[:0]] for stage, record in explained.items()}
    return {stage: pa.Table.from_batches(records) for stage, records in batches.items()}


def _write(
    job: Job,
    shard: int,
    missing: dict[str, Mark],
    parts: dict[str, pa.Table],
    failures: Sequence[Failure],
) -> None:
    """Failures before the part that vouches for them: predictions, or the maps of a method."""
    transient = sum(failure.kind == "transient" for failure in failures)
    for stage, mark in missing.items():
        if stage == "predictions" or stage.startswith("maps/"):
            method = stage.partition("/")[2]
            own = [failure for failure in failures if _method_of(failure) == method]
            path = job.run.part(f"failures/{method or stage}", shard)
            if own:
                write_part(path, encode_failures(own), mark)
            else:
                path.unlink(missing_ok=True)
        write_part(job.run.part(stage, shard), parts[stage], mark, transient)


def _method_of(failure: Failure) -> str:
    """The method whose map failed; empty for what fails before any map."""
    return "" if failure.stage in ("read", "foreground", "predict") else failure.stage


def _blank(classifier: Classifier) -> Sample:
    picture_CHW = torch.zeros(3, *classifier.preprocessing.size, dtype=torch.uint8)
    return Sample(Row("", "", classifier.classes[0]), "", picture_CHW, None)


def _readable(read: Iterable[Sample | Failure], failures: list[Failure]) -> Iterator[Sample]:
    """The samples that could be read; the others are added to the failures as they come."""
    for item in read:
        if isinstance(item, Failure):
            failures.append(item)
        else:
            yield item


def _in_batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
