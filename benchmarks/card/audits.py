"""A whole audit on the device: its speed beside a bare loop, its figures beside the CPU's, what
decoding costs, and what is done where memory runs out."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image, decode_jpeg, read_file

from benchmarks.card.setup import CPU, FORMAT, Setup, peak_megabytes
from benchmarks.measure import Figure
from models.classifier.classifier import Classifier
from models.classifier.mlflow_models import FetchedModel
from tasks.attribution.batch import explain_within_memory
from tasks.attribution.job import Job, count_shards, read_shard
from tasks.attribution.memory import batch_size_of
from tasks.attribution.plan import Plan
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.attribution.shard import attribute_shard
from tasks.execution.attribution_stage import attribute_run, job_of
from tasks.execution.cluster import count_workers, has_gpus, open_client
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Sample
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.runs.stages import PREDICTIONS

THREADS = 8  # that decode, as beside a worker
ROOM = 1_000  # pictures' bytes, which a batch of some takes in a network's layers


def measure_audit(setup: Setup) -> Iterator[Figure]:
    """By local workers, one a card; without changed pictures also beside a bare loop."""
    run = _prepare(setup, setup.scale.rows, "audit")
    cost = attribute_run(run, ComputeSettings(), str(setup.folder / "dask"), lambda _: None)
    if setup.device not in {device.partition(":")[0] for device in cost.devices}:
        raise RuntimeError(f"the audit was computed on {cost.devices}, not on {setup.device}")
    batch = batch_size_of(None, setup.on_device)
    yield Figure("audit: workers", cost.workers)
    yield Figure("audit: images in a batch, by default", batch)
    speed = setup.scale.rows / cost.seconds
    yield Figure("audit with changed pictures: images a second", speed)
    for step in cost.steps:
        yield Figure(f"audit: seconds of {step.name}, of all workers", step.seconds)
    maps = _prepare(setup, setup.scale.rows, "maps", changes="none")
    cost = attribute_run(maps, ComputeSettings(), str(setup.folder / "dask"), lambda _: None)
    yield Figure("audit without changes: images a second", setup.scale.rows / cost.seconds)
    bare = _bare_loop(setup, batch)
    yield Figure("bare loop, decoded by threads: images a second", bare)
    share = setup.scale.rows / cost.seconds / bare
    yield Figure("audit without changes, times a bare loop", share)


def measure_decoding(setup: Setup) -> Iterator[Figure]:
    """Of JPEG files: by threads of the CPU, and by nvJPEG where torchvision has it. The audit
    decodes on the CPU."""
    files = [read_file(str(file)) for file in setup.files]
    with ThreadPoolExecutor(THREADS) as threads:
        seconds = setup.seconds(lambda: list(threads.map(decode_jpeg, files)))
    yield Figure(f"decoded by {THREADS} threads: images a second", len(files) / seconds)
    if setup.device != CPU:
        seconds = setup.seconds(lambda: decode_jpeg(files, device=setup.device))
        yield Figure("decoded by nvJPEG: images a second", len(files) / seconds)


def measure_figures(setup: Setup) -> Iterator[Figure]:
    """Predictions and changed pictures of the same images: the device's beside the CPU's."""
    runs = []
    for name, classifier in (("on-cpu", setup.on_cpu), ("on-device", setup.on_device)):
        run = _prepare(setup, setup.scale.compared, name)
        job = job_of(run, ComputeSettings(workers=1))
        peak = peak_megabytes(setup, partial(_compute, job, classifier))
        runs.append(run)
    if peak is not None:
        yield Figure("audit: MB of the device at the highest", peak)
    before, after = (_column(run, "predictions", "prediction") for run in runs)
    yield Figure("predictions that are the CPU's", float(np.mean(before == after)))
    for column in ("reliance_removal", "reliance_exchange"):
        before, after = (_column(run, "interventions", column).astype(float) for run in runs)
        yield Figure(f"{column}: the CPU's mean", float(np.nanmean(before)))
        yield Figure(f"{column}: largest difference", float(np.nanmax(np.abs(before - after))))


def measure_workers(setup: Setup) -> Iterator[Figure]:
    """Local workers, which have one card each."""
    with open_client(ComputeSettings(), str(setup.folder / "dask")) as client:
        yield Figure("cards", torch.cuda.device_count())
        yield Figure("local workers, by default", count_workers(client))
        yield Figure("do workers offer a card as a resource (1: yes)", float(has_gpus(client)))


def measure_halving(setup: Setup) -> Iterator[Figure]:
    """A batch that cannot fit into a small share of the card is explained in halves."""
    run = _prepare(setup, setup.scale.largest, "halved", changes="none")
    job = job_of(run, ComputeSettings(workers=1))
    read = job.reader.read_rows(rows_of(read_shard(run, 0)), THREADS)
    samples = [sample for sample in read if isinstance(sample, Sample)]
    plan = Plan(setup.on_device, job.attribution, frozenset({PREDICTIONS}))
    with _little_memory(setup):
        explained = [rows for rows, _ in explain_within_memory(plan, samples) if rows]
    batches = [rows[PREDICTIONS].num_rows for rows in explained]
    yield Figure("images of a batch that does not fit", len(samples))
    yield Figure("of them predicted, in halves", sum(batches))
    yield Figure("the largest batch that fitted", max(batches, default=0))


@contextmanager
def _little_memory(setup: Setup) -> Iterator[None]:
    """Torch may hold what it holds now, and a few pictures more; on the CPU as much as ever."""
    if setup.device == CPU:
        yield
        return
    gc.collect()
    torch.cuda.empty_cache()
    picture = 3 * math.prod(setup.scale.preprocessing.size) * 4  # bytes
    allowed = torch.cuda.memory_reserved(setup.device) + ROOM * picture
    total = torch.cuda.get_device_properties(setup.device).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed / total, setup.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, setup.device)


def _compute(job: Job, classifier: Classifier) -> None:
    for shard in range(count_shards(job.run)):
        attribute_shard(job, shard, classifier)


def _prepare(
    setup: Setup, rows: int, name: str, changes: Literal["default", "none"] = "default"
) -> RunFolder:
    """The run of an audit of so many rows, up to its first shard."""
    request = AuditRequest(
        setup.table(rows),
        AttributionSettings(memory_format=FORMAT),
        InterventionSettings(choice=changes),
    )
    settings = {"model": setup.model.model_dump(mode="json")}
    output = OutputSettings(run=str(setup.folder / name))
    return prepare_run(request, FetchedModel(setup.model), output, settings)


def _bare_loop(setup: Setup, batch: int) -> float:
    """Images a second of what one would write in a notebook, with threads that decode ahead."""
    files = [str(setup.files[row % len(setup.files)]) for row in range(setup.scale.rows)]
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads, torch.no_grad():
        pictures = threads.map(lambda file: _decode(setup, file), files)
        while chunk := list(islice(pictures, batch)):
            picture_BCHW = torch.stack(chunk).to(setup.device)
            image_BCHW = setup.on_device.preprocessing.normalise(picture_BCHW)
            image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
            setup.on_device.network(image_BCHW).argmax(1).cpu()
    return len(files) / (time.perf_counter() - start)


def _decode(setup: Setup, file: str) -> Tensor:
    picture_CHW = decode_image(file, mode=ImageReadMode.RGB)
    return setup.scale.preprocessing.resize_and_crop(picture_CHW)


def _column(run: RunFolder, stage: str, column: str) -> np.ndarray:
    """In the order of the rows."""
    table = pq.read_table(str(run.path / stage), columns=["row_id", column]).sort_by("row_id")
    values: np.ndarray = np.asarray(table[column].to_pylist(), object)
    return values
