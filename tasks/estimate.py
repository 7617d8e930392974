"""What an audit would take: a few images go through all of it, in a folder that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow.parquet as pq
import torch

from models.architectures import ModelSettings
from models.classifier import load_classifier
from tasks.attribute import attribute_shard
from tasks.catalog import DataSettings
from tasks.cluster import ComputeSettings, decode_threads, local_workers, place
from tasks.prepare import checked_catalog
from tasks.shard import AttributionSettings, Job, count_shards, identity_of
from tasks.store import RunFolder

BATCHES = 2  # measured, after one that warms up


def estimate(
    data: DataSettings,
    model: ModelSettings,
    attribution: AttributionSettings,
    compute: ComputeSettings,
) -> str:
    """Check everything that an audit checks first, measure, and say time and storage in words."""
    classifier = load_classifier(model)
    catalog = checked_catalog(data, classifier, attribution)
    size = compute.batch_size
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.at(folder)
        first = catalog.slice(0, (1 + BATCHES) * size)
        pq.write_table(first, str(run.catalog), row_group_size=size)
        identity = identity_of(catalog, classifier, data, attribution)
        threads = decode_threads(compute)
        job = Job(run, model, attribution, identity, size, threads)
        place(classifier, "cuda" if torch.cuda.is_available() else "cpu", attribution.memory_format)
        with _one_thread():
            attribute_shard(job, 0, classifier)
            shards = range(1, count_shards(run))
            start = time.perf_counter()
            measured = sum(attribute_shard(job, shard, classifier).computed for shard in shards)
            seconds = time.perf_counter() - start
        stored = sum(path.stat().st_size for path in run.path.rglob("*.parquet"))
    rows = min(len(catalog), (1 + BATCHES) * size)
    images, workers = len(catalog), local_workers(compute)
    if not measured:
        return f"{images:,} images; too few to estimate a time"
    return (
        f"{images:,} images, {measured / seconds:.1f} a second on one worker: about "
        f"{images * seconds / measured / workers:.0f} s on {workers} workers, "
        f"and {images * stored / rows / 1e6:.1f} MB"
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """As many as each worker of a local cluster has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
