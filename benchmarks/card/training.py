"""Retraining on the device, in float32 and bfloat16, beside the CPU's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import torch

from benchmarks.card.setup import CPU, Setup
from benchmarks.measure import Figure
from models.classifier.preprocessing import Preprocessing
from models.classifier.small_resnet import small_resnet
from models.network.layers import find_grid
from models.objectives.registry import find_objective
from tasks.finetune.images import TrainingImages
from tasks.finetune.loop import Training, finetune
from tasks.finetune.settings import FinetuneSettings

CLASSES, SIDE = 4, 64
IMAGES = 256
LAST = 5  # steps whose mean loss is compared
WAYS = ((CPU, "float32"), ("device", "float32"), ("device", "bfloat16"))


def measure_training(setup: Setup) -> Iterator[Figure]:
    """The small network by S-IB: the same steps from the same weights, in each way."""
    for place, precision in WAYS:
        device = setup.device if place == "device" else CPU
        losses, seconds = _train(setup, device, precision)
        name = f"retraining on the {'CPU' if place == CPU else 'device'}, {precision}"
        yield Figure(f"{name}: mean loss of the first {LAST} steps", fmean(losses[:LAST]))
        yield Figure(f"{name}: mean loss of the last {LAST} steps", fmean(losses[-LAST:]))
        yield Figure(f"{name}: steps a second", len(losses) / seconds)


def _train(setup: Setup, device: str, precision: str) -> tuple[list[float], float]:
    """The loss of each step, and the seconds of all."""
    recipe = FinetuneSettings.model_validate(
        {"objective": "sib", "steps": setup.scale.steps, "precision": precision}
    )
    torch.manual_seed(0)
    network = small_resnet(CLASSES).to(device)
    objective = find_objective(recipe.objective).objective
    grid = find_grid(network, torch.zeros(1, 3, SIDE, SIDE, device=device))
    grids = (grid,) * len(objective.layers)
    geometry = Preprocessing(crop=(SIDE, SIDE))
    training = Training(network, geometry, _images(), objective, recipe, grids)
    losses: list[float] = []
    start = time.perf_counter()
    finetune(training, lambda step, steps, parts: losses.append(sum(parts.values())))
    return losses, time.perf_counter() - start


def _images() -> TrainingImages:
    """Noise, and in its middle a square whose brightness is the class."""
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(IMAGES) % CLASSES
    image_NCHW = torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), generator=generator)
    inside = slice(SIDE // 4, SIDE // 2)
    image_NCHW[:, :, inside, inside] = (60 * label_N)[:, None, None, None]
    mask_NHW = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.uint8)
    mask_NHW[:, inside, inside] = 255
    images = TrainingImages.of(image_NCHW.to(torch.uint8), label_N, mask_NHW)
    return replace(images, group_N=label_N)
