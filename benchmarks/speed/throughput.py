"""What an audit leaves of the speed of a bare loop that decodes the same files and predicts.

The audit takes its real path: prepare_run, a local Dask cluster with the model on each worker,
attribute_shards, every part on disk (predictions, features, maps of all methods). The bare loop
decodes with the same decoder and geometry, predicts and keeps only the classes. Both have one torch
thread a process, the same batch and memory format; bare loops are started after the cluster and so
inherit its environment (allocator, OpenMP), which favours neither. They take turns on the same
files, a shard for each worker at a time; the first turn warms up, so that no start is measured.

A worker decodes in a thread beside its computing and so may use more than one core: images a second
of CPU time stand beside images a second.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path

import torch
from distributed import Client
from torchvision.io import ImageReadMode, decode_image

from benchmarks.audit_in_process import StartedAudit, random_model, start_audit, workers_of
from benchmarks.measure import Figure, at_least, main, ratios
from benchmarks.speed.jpeg_files import photographs
from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import IMAGENET
from models.classifier.settings import ModelSettings
from tasks.attribution.job import UnfinishedShard, read_shard
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.cluster import move_to_device
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress, attribute_shards
from tasks.pictures.rows import rows_of

BATCH = 16
FORMAT = "channels_last"
TINY = Preprocessing(resize=72, crop=(64, 64))  # --quick: every step, little to compute


@dataclass(frozen=True)
class Scale:
    """How much is measured, and on what."""

    images: int
    shard_size: int
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Turn:
    """One side, once: seconds until all its files were done, and CPU seconds of its processes."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Sides:
    """Turns of the audit and of the bare loops, in the same order."""

    audit: list[Turn]
    bare: list[Turn]


def run(quick: bool) -> list[Figure]:
    """Images a second of the audit over those of the bare loop, with one worker and with two."""
    scale = Scale(64, 16, TINY) if quick else Scale(2_000, 100, IMAGENET)
    spawn = multiprocessing.get_context("spawn")  # processes start when first needed
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2, spawn) as loops:
        one = measure(scale, 1, loops, Path(folder))
        two = measure(scale, 2, loops, Path(folder))
    name = f"audit of {scale.images:,} JPEG files, resnet18, {64 if quick else 224} px"
    goal_of_one, goal_of_two = (None, None) if quick else (0.85, 0.9)  # too small for goals
    return [
        at_least(goal_of_one, f"{name}, 1 worker: images a second, times a bare loop", _speed(one)),
        at_least(None, f"{name}, 1 worker: images a CPU second, times a bare loop", _thrift(one)),
        at_least(
            goal_of_two, f"{name}, 2 workers: images a second, times 2 bare loops", _speed(two)
        ),
        at_least(None, f"{name}, 2 workers: images a CPU second, times 2 bare loops", _thrift(two)),
    ]


def measure(scale: Scale, workers: int, loops: Executor, folder: Path) -> Sides:
    """Audit and bare loops in turns over all files, a shard for each worker at a time."""
    model = random_model("torchvision:resnet18", folder, scale.preprocessing)
    started = start_audit(
        DataSettings(path=str(photographs(scale.images))),
        model,
        AttributionSettings(memory_format=FORMAT, shard_size=scale.shard_size),
        ComputeSettings(workers=workers, batch_size=BATCH),
        folder / f"audit-{workers}",
    )
    sides = Sides([], [])
    with workers_of(started) as client:
        for first in range(0, started.shards - workers + 1, workers):
            _take_turns(sides, client, loops, started, range(first, first + workers))
    return Sides(sides.audit[1:], sides.bare[1:])


def _take_turns(
    sides: Sides, client: Client, loops: Executor, started: StartedAudit, shards: range
) -> None:
    """Each side once, on the same files; who goes first changes."""
    if len(sides.audit) % 2:
        sides.audit.append(_audit(client, started, shards))
        sides.bare.append(_bare_loops(loops, started, shards))
    else:
        sides.bare.append(_bare_loops(loops, started, shards))
        sides.audit.append(_audit(client, started, shards))


def _audit(client: Client, started: StartedAudit, shards: range) -> Turn:
    """The audit's turn, timed by the coordinator."""
    progress = Progress(total=0)
    before = sum(client.run(time.process_time).values())
    start = time.perf_counter()
    new = [UnfinishedShard(shard, is_new=True) for shard in shards]
    attribute_shards(client, started.job, new, progress, lambda: None)
    wall = time.perf_counter() - start
    cpu = sum(client.run(time.process_time).values()) - before
    if progress.broken or progress.failed or progress.reused:
        raise RuntimeError(f"not every image was computed: {progress}")
    return Turn(wall, cpu)


def _bare_loops(loops: Executor, started: StartedAudit, shards: range) -> Turn:
    """The bare loops' turn, each timed by itself; it ends when the last one is done."""
    files = [[row.image for row in rows_of(read_shard(started.job.run, shard))] for shard in shards]
    turns = list(loops.map(bare_loop, repeat(started.job.model), files))
    return Turn(max(turn.wall for turn in turns), sum(turn.cpu for turn in turns))


def bare_loop(model: ModelSettings, files: Sequence[str]) -> Turn:
    """Decode, prepare and predict, batch by batch: what one would write in a notebook."""
    classifier = _load(model)
    wall, cpu = time.perf_counter(), time.process_time()
    predictions: list[int] = []
    for first in range(0, len(files), BATCH):
        predictions += _predict(classifier, files[first : first + BATCH])
    return Turn(time.perf_counter() - wall, time.process_time() - cpu)


@cache
def _load(model: ModelSettings) -> Classifier:
    """Once in each process."""
    torch.set_num_threads(1)
    classifier = load_classifier(model)
    move_to_device(classifier, "cpu", FORMAT)
    return classifier


def _predict(classifier: Classifier, files: Sequence[str]) -> list[int]:
    preprocessing = classifier.preprocessing
    pictures = [
        preprocessing.resize_and_crop(decode_image(file, mode=ImageReadMode.RGB)) for file in files
    ]
    image_BCHW = preprocessing.normalise(torch.stack(pictures))
    with torch.no_grad():
        logits_BK = classifier.network(image_BCHW.contiguous(memory_format=torch.channels_last))
    classes: list[int] = logits_BK.argmax(1).tolist()
    return classes


def _speed(sides: Sides) -> list[float]:
    return ratios([turn.wall for turn in sides.bare], [turn.wall for turn in sides.audit])


def _thrift(sides: Sides) -> list[float]:
    return ratios([turn.cpu for turn in sides.bare], [turn.cpu for turn in sides.audit])


if __name__ == "__main__":
    main(run)
