"""How a network is trained: what is descended, by which steps, in which order of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

WARM_UP = 0.2  # of the steps of one cycle, in which the rate rises
LEAST_CYCLE = 10  # steps; in fewer there is nothing to rise


class FinetuneSettings(BaseModel):
    """How to train. The defaults mend a network that has learnt its classes already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: str = Field(
        "sib",
        description="erm, swap, dfr, sib or ibsgl; forms and arguments as in sib:form=feature.",
    )
    start: Literal["weights", "scratch"] = Field(
        "weights", description="Begin with the model's weights, or with fresh ones."
    )
    epochs: int = Field(8, ge=1, description="How often each training image is seen.")
    steps: int | None = Field(None, ge=1, description="So many steps instead of whole epochs.")
    batch_size: int = Field(64, ge=2, description="Images a step.")
    accumulate: int = Field(1, ge=1, description="Parts that a step's images are computed in.")
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: float = Field(3e-4, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd.")
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(
        "one_cycle", description="Course of the learning rate."
    )
    flip: Literal["half", "none"] = Field("half", description="Mirror half of the images, or none.")
    zoom: float = Field(
        0.0, ge=0, lt=1, description="Largest share of a picture's sides that is cut off at random."
    )
    statistics: Literal["updated", "frozen"] = Field(
        "updated",
        description="Batch normalisation: of each batch, or as the model learnt it (for batches of "
        "few images).",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the forward pass; bfloat16 on a card only."
    )
    choose: Literal["exchanged", "worst_group", "accuracy"] | None = Field(
        None,
        description="What the epoch is chosen by on the validation images: accuracy with exchanged "
        "backgrounds, in the worst group, or plain; by default the first that can be computed.",
    )
    training_seed: int = Field(0, description="Seed of the order, the augmentation and the start.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate {self.accumulate} is more than the {self.batch_size} images of a step"
            )
        return self

    def batches_of(self, images: int) -> int:
        """Steps of an epoch: batches of nearly the same size, none of one image."""
        return min(math.ceil(images / self.batch_size), max(1, images // 2))

    def steps_of(self, images: int) -> int:
        """Of the whole training."""
        return self.steps or self.epochs * self.batches_of(images)


def optimiser_of(recipe: FinetuneSettings, weights: Iterable[nn.Parameter]) -> Optimizer:
    """Over the weights that learn."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser == "sgd":
        return SGD(weights, rate, momentum=recipe.momentum, weight_decay=decay)
    return AdamW(weights, rate, weight_decay=decay)


def schedule_of(recipe: FinetuneSettings, optimiser: Optimizer, steps: int) -> LRScheduler:
    """The learning rate of each step."""
    if recipe.schedule == "one_cycle" and steps >= LEAST_CYCLE:
        return OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, pct_start=WARM_UP)
    if recipe.schedule == "cosine":
        return LambdaLR(optimiser, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    return LambdaLR(optimiser, lambda _: 1.0)


def generator_of(recipe: FinetuneSettings) -> torch.Generator:
    """Of the order of images, of augmentation and of exchanged backgrounds."""
    return torch.Generator().manual_seed(recipe.training_seed)
