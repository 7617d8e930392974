"""Where a run is computed: in this process, where that takes less than starting workers."""

from __future__ import annotations

import logging
import time

import torch
from torch import Tensor

from models.classifier.classifier import load_classifier
from models.methods.registry import Method, NetworkMethod, find_methods
from tasks.attribution.job import Job
from tasks.execution.cluster import move_to_device, one_thread
from tasks.execution.settings import ComputeSettings
from tasks.runs.folder import RunFolder
from tasks.storage.files import write_text

log = logging.getLogger("sightline")

STARTING_WORKERS = 15.0  # seconds: each takes four to import torch and to load the model
MOST_IMAGES = 20_000  # more than these take longer than starting workers, whatever the network
READING = 0.005  # seconds an image, to decode it
EXCHANGES = 6  # passes an image, where objects are put on other backgrounds
PICTURES = 4  # in the batch that is timed


def settle_workers(compute: ComputeSettings, job: Job, images: int) -> ComputeSettings:
    """The settings with the number of local workers: none where the work is small."""
    if compute.dask is not None or compute.workers is not None:
        return compute
    if died_here(job.run):
        log.info("the last try ended without a word: workers compute now, which may die")
        return compute
    seconds = _estimate_seconds(job, images)
    if seconds is None or seconds > STARTING_WORKERS:
        return compute
    log.info("about %.0f s of work, done without starting workers (as --workers 0)", seconds)
    return compute.model_copy(update={"workers": 0})


def died_here(run: RunFolder) -> bool:
    """Did a process that computed this run itself end without removing its note?"""
    return bool((run.notes / "own-process.json").exists())


def note_own_process(run: RunFolder) -> None:
    """An image that kills its worker kills the whole command here: the next try must know."""
    write_text(run.notes / "own-process.json", "[]\n")


def _estimate_seconds(job: Job, images: int) -> float | None:
    """Of one core; None where it is certain to be long, or a method's cost is unknown."""
    passes = _passes(job)
    if images > MOST_IMAGES or passes is None:
        return None
    return images * (READING + passes * _seconds_per_pass(job))


def _passes(job: Job) -> float | None:
    """Passes of the network an image; one backward counts as two forward."""
    passes = 1.0 + EXCHANGES * (job.donors is not None)
    for method in find_methods(job.attribution.methods):
        cost = _own_passes(method)
        if cost is None:
            return None
        passes += cost
    return passes


def _own_passes(method: Method) -> float | None:
    """Beside the one pass that all share."""
    if method.cost is None:
        return None
    forward = method.cost.forwards if isinstance(method, NetworkMethod) else 0
    return float(forward + 2 * method.cost.backwards)


def _seconds_per_pass(job: Job) -> float:
    classifier = load_classifier(job.model)
    move_to_device(classifier, "cpu", job.attribution.memory_format)
    example_BCHW = torch.zeros(PICTURES, 3, *job.identity.preprocessing.size)
    with one_thread(), torch.no_grad():
        classifier.network(example_BCHW)
        return min(_time(classifier.network, example_BCHW) for _ in range(3)) / PICTURES


def _time(network: torch.nn.Module, example_BCHW: Tensor) -> float:
    start = time.process_time()
    network(example_BCHW)
    return time.process_time() - start
