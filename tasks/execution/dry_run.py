"""The time and storage of an audit, estimated from a few images in a temporary folder."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass

import torch

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.fingerprints import identity_of
from tasks.attribution.job import Job, count_shards
from tasks.attribution.layer_statistics import gather_moments
from tasks.attribution.memory import batch_size_of
from tasks.attribution.settings import AuditRequest
from tasks.attribution.shard import attribute_shard
from tasks.catalog.listing import Listing
from tasks.execution.attribution_stage import job_of, missing_moments
from tasks.execution.check_preprocessing import check_preprocessing
from tasks.execution.cluster import local_workers, move_to_device, one_thread
from tasks.execution.prepare import keep_donors, make_checked_catalog, plan_layer_statistics
from tasks.execution.settings import ComputeSettings
from tasks.runs.folder import RunFolder
from tasks.runs.state import RunState
from tasks.storage.parquet import write_table

log = logging.getLogger("sightline")

BATCHES = 2  # measured, after one that warms up


@dataclass(frozen=True)
class _Measurement:
    """What a few images cost; storage in bytes."""

    images: int
    computed: int  # images in `seconds`
    seconds: float
    stored: int  # without the donors, which are stored once
    donors: int


def estimate(
    request: AuditRequest,
    model: ModelSettings,
    compute: ComputeSettings,
    listing: Listing | None = None,
) -> str:
    """Make every check that an audit makes first, then estimate its time and storage."""
    classifier = load_classifier(model)
    catalog = make_checked_catalog(request, classifier, listing)
    identity = identity_of(catalog, classifier, request)
    warning = check_preprocessing(catalog, classifier, identity.orientation)
    if warning is not None:
        log.warning(warning)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.at(folder)
        move_to_device(classifier, _device(), request.attribution.memory_format)
        batch = batch_size_of(compute.batch_size, classifier)
        sample = catalog.take(_spread_evenly(len(catalog), (1 + BATCHES) * batch))
        write_table(run.catalog, sample, batch)
        run.write_state(
            RunState(
                schema_version=schema.VERSION,
                identity=identity,
                settings=request.sections(),
                model=model,
            )
        )
        keep_donors(run, request, identity, sample)
        plan_layer_statistics(run, request, identity, sample)
        with one_thread():
            measured = _measure(job_of(run, compute), classifier, len(sample))
    donors = min(len(catalog), request.interventions.pool)
    return _describe(measured, len(catalog), donors, local_workers(compute))


def _measure(job: Job, classifier: Classifier, images: int) -> _Measurement:
    """Compute every part of the run; its first shard warms up."""
    run = job.run
    for layer, part in missing_moments(job):
        gather_moments(job, layer, part, classifier)
    attribute_shard(job, 0, classifier)
    start = time.perf_counter()
    shards = range(1, count_shards(run))
    computed = sum(attribute_shard(job, shard, classifier).computed for shard in shards)
    seconds = time.perf_counter() - start
    donors = run.donors.stat().st_size if run.donors.exists() else 0
    stored = sum(path.stat().st_size for path in run.path.rglob("*.parquet")) - donors
    return _Measurement(images, computed, seconds, stored, donors)


def _describe(measured: _Measurement, images: int, donors: int, workers: int) -> str:
    if not measured.computed:
        return f"{images:,} images; too few to estimate a time"
    stored = (images * measured.stored + donors * measured.donors) / measured.images
    return (
        f"{images:,} images, {measured.computed / measured.seconds:.1f} a second on one worker: "
        f"about {images * measured.seconds / measured.computed / workers:.0f} s on {workers} "
        f"workers, and {stored / 1e6:.1f} MB"
    )


def _spread_evenly(rows: int, count: int) -> list[int]:
    """Row numbers at even distances over all rows, and so over all classes."""
    count = min(rows, count)
    return [number * rows // count for number in range(count)]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
