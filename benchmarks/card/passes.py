"""One pass and every method on the device: images a second, memory, and maps beside the CPU's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.card.setup import CPU, Setup, peak_megabytes
from benchmarks.measure import Figure
from models.classifier.classifier import Classifier
from models.errors import lacks_memory
from models.methods.maps import capture_for, explain
from models.methods.registry import LAYER_METHODS, NAMES, Method, find_method, find_methods
from models.network.capture import capture
from models.network.explain_request import ExplainRequest
from models.network.statistics import Moments

NEARLY = 0.95  # of the highest speed: the smallest batch that reaches it is taken
SMALLEST = 8
PRECISIONS = ("float32", "bfloat16")


def measure_passes(setup: Setup) -> Iterator[Figure]:
    """The batch that is found, and what a pass costs in it beside a bare forward pass."""
    speeds = speeds_by_batch(lambda batch: _speed(setup, batch), setup.scale.largest)
    for batch, speed in speeds.items():
        yield Figure(f"one pass, batch {batch}: images a second", speed)
    batch = best_batch(speeds)
    yield Figure("batch that is found", batch)
    image_BCHW = setup.images(batch, setup.device)
    methods = find_methods(LAYER_METHODS)
    for precision in PRECISIONS:
        with cast_to(precision, setup.device):
            bare = setup.seconds(lambda: _forward(setup.on_device, image_BCHW))
            whole = setup.seconds(lambda: _capture(setup.on_device, methods, image_BCHW))
        yield Figure(f"{precision}, batch {batch}: forward passes a second", batch / bare)
        yield Figure(f"{precision}, batch {batch}: a pass with four CAMs, forwards", whole / bare)
    peak = peak_megabytes(setup, lambda: _capture(setup.on_device, methods, image_BCHW))
    if peak is not None:
        yield Figure(f"batch {batch}: MB at the highest", peak)


def measure_methods(setup: Setup) -> Iterator[Figure]:
    """Every method in both precisions: its speed, and its maps beside the CPU's in float32."""
    compared = setup.scale.compared
    on_cpu, on_device = _request(setup, CPU, compared), _request(setup, setup.device, compared)
    many = _request(setup, setup.device, setup.scale.timed)
    for name in NAMES:
        method = find_method(f"rise:masks={setup.scale.masks}" if name == "rise" else name)
        expected = explain(method, on_cpu).double().numpy()
        for precision in PRECISIONS:
            with cast_to(precision, setup.device):
                seconds = setup.seconds(partial(explain, method, many))
                found = explain(method, on_device).double().cpu().numpy()
            speed = setup.scale.timed / seconds
            yield Figure(f"{method.name}, {precision}: images a second", speed)
            yield Figure(
                f"{method.name}, {precision}: correlation with the CPU's maps",
                lowest_correlation(expected, found),
            )


def speeds_by_batch(speed: Callable[[int], float], largest: int) -> dict[int, float]:
    """Images a second of batches that double until memory runs out."""
    speeds: dict[int, float] = {}
    batch = SMALLEST
    while batch <= largest:
        try:
            speeds[batch] = speed(batch)
        except (RuntimeError, MemoryError) as error:
            if not speeds or not lacks_memory(error):
                raise
            break
        batch *= 2
    return speeds


def best_batch(speeds: Mapping[int, float]) -> int:
    """The smallest that is nearly as fast as the fastest."""
    enough = NEARLY * max(speeds.values())
    return min(batch for batch, speed in speeds.items() if speed >= enough)


def lowest_correlation(expected_Bhw: np.ndarray, found_Bhw: np.ndarray) -> float:
    """Pearson's, of the image whose maps differ most."""
    pairs = zip(expected_Bhw, found_Bhw, strict=True)
    return min(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for one, other in pairs)


def cast_to(precision: str, device: str) -> AbstractContextManager[object]:
    """Of the forward passes inside the block."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def _speed(setup: Setup, batch: int) -> float:
    image_BCHW, methods = setup.images(batch, setup.device), find_methods(LAYER_METHODS)
    return batch / setup.seconds(lambda: _capture(setup.on_device, methods, image_BCHW))


def _forward(classifier: Classifier, image_BCHW: Tensor) -> None:
    with torch.no_grad():
        classifier.network(image_BCHW)


def _capture(classifier: Classifier, methods: tuple[Method, ...], image_BCHW: Tensor) -> None:
    capture_for(methods, classifier.network, classifier.grid, image_BCHW)


def _request(setup: Setup, device: str, count: int) -> ExplainRequest:
    """Some images and the classes that the CPU predicts; what methods know of the layer's noise."""
    classifier = setup.on_cpu if device == CPU else setup.on_device
    image_BCHW = setup.images(count, CPU)
    noise_NCHW = setup.images(16, CPU)
    assert classifier.grid is not None
    seen = capture(setup.on_cpu.network, classifier.grid, noise_NCHW)
    with torch.no_grad():
        target_B = setup.on_cpu.network(image_BCHW).argmax(1)
    return ExplainRequest(
        classifier.network,
        image_BCHW.to(device),
        target_B.to(device),
        64,
        classifier.grid,
        Moments.of(seen.activation_BDhw).statistics().to(torch.device(device)),
    )
