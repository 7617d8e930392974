"""Optimiser, learning rate schedule and random generator of a training."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from tasks.finetune.settings import FinetuneSettings

WARM_UP = 0.2  # share of the steps of one cycle in which the rate rises
LEAST_CYCLE = 10  # steps; fewer are too short for a cycle


def make_optimiser(recipe: FinetuneSettings, weights: Iterable[nn.Parameter]) -> Optimizer:
    """The optimiser of the trainable weights."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser == "sgd":
        return SGD(weights, rate, momentum=recipe.momentum, weight_decay=decay)
    return AdamW(weights, rate, weight_decay=decay)


def make_schedule(recipe: FinetuneSettings, optimiser: Optimizer, steps: int) -> LRScheduler:
    """The learning rate of each step."""
    if recipe.schedule == "one_cycle" and steps >= LEAST_CYCLE:
        return OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, pct_start=WARM_UP)
    if recipe.schedule == "cosine":
        return LambdaLR(optimiser, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    return LambdaLR(optimiser, lambda _: 1.0)


def make_generator(recipe: FinetuneSettings) -> torch.Generator:
    """The generator of image order, augmentation and exchanged backgrounds."""
    return torch.Generator().manual_seed(recipe.training_seed)
