"""What an audit would take: a few images go through all of it, in a folder that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow.parquet as pq
import torch

from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.fingerprints import identity_of
from tasks.attribution.job import count_shards
from tasks.attribution.layer_statistics import survey_part
from tasks.attribution.settings import AuditRequest
from tasks.attribution.shard import attribute_shard
from tasks.execution.cluster import local_workers, move_to_device
from tasks.execution.prepare import keep_donors, make_checked_catalog, plan_survey
from tasks.execution.run_shards import job_of, missing_surveys
from tasks.execution.settings import ComputeSettings
from tasks.runs.folder import RunFolder
from tasks.runs.state import RunState

BATCHES = 2  # measured, after one that warms up


def estimate(asked: AuditRequest, model: ModelSettings, compute: ComputeSettings) -> str:
    """Check everything that an audit checks first, measure, and say time and storage in words."""
    classifier = load_classifier(model)
    catalog = make_checked_catalog(asked, classifier)
    size = compute.batch_size
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.at(folder)
        first = catalog.take(_spread(len(catalog), (1 + BATCHES) * size))  # of all classes
        pq.write_table(first, str(run.catalog), row_group_size=size)
        identity = identity_of(catalog, classifier, asked)
        run.write_state(
            RunState(
                schema_version=schema.VERSION,
                identity=identity,
                settings=asked.sections(),
                model=model,
            )
        )
        keep_donors(run, asked, identity, first)
        plan_survey(run, asked, identity, first)
        job = job_of(run, compute)
        move_to_device(classifier, _device(), asked.attribution.memory_format)
        with _one_thread():
            for layer, part in missing_surveys(job):
                survey_part(job, layer, part, classifier)
            attribute_shard(job, 0, classifier)
            shards = range(1, count_shards(run))
            start = time.perf_counter()
            measured = sum(attribute_shard(job, shard, classifier).computed for shard in shards)
            seconds = time.perf_counter() - start
        once = run.donors.stat().st_size if run.donors.exists() else 0
        stored = sum(path.stat().st_size for path in run.path.rglob("*.parquet")) - once
    rows = min(len(catalog), (1 + BATCHES) * size)
    images, workers = len(catalog), local_workers(compute)
    donors = min(images, asked.interventions.pool)
    if not measured:
        return f"{images:,} images; too few to estimate a time"
    return (
        f"{images:,} images, {measured / seconds:.1f} a second on one worker: about "
        f"{images * seconds / measured / workers:.0f} s on {workers} workers, "
        f"and {(images * stored + donors * once) / rows / 1e6:.1f} MB"
    )


def _spread(rows: int, count: int) -> list[int]:
    """So many row numbers, even over all of them."""
    count = min(rows, count)
    return [number * rows // count for number in range(count)]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _one_thread() -> Iterator[None]:
    """As many as each worker of a local cluster has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
