"""Settings of a training: how the network is trained, and on which images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.addresses import Address
from models.limits import LARGEST_SEED, MOST_IN_MEMORY
from tasks.catalog.settings import DataSettings
from tasks.pictures.settings import ForegroundSettings

MOST_STEPS = 100_000_000


class FinetuneSettings(BaseModel):
    """How to train. The defaults suit a network that knows its classes already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: str = Field(
        "sib",
        description="erm, swap, dfr, sib or ibsgl; forms and arguments as in sib:form=feature.",
    )
    start: Literal["weights", "scratch"] = Field(
        "weights", description="Start from the model's weights, or from new random ones."
    )
    epochs: int = Field(8, ge=1, le=100_000, description="How often each training image is seen.")
    steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Number of steps, instead of epochs."
    )
    batch_size: int = Field(64, ge=2, le=MOST_IN_MEMORY, description="Images per step.")
    accumulate: int = Field(
        1, ge=1, le=MOST_IN_MEMORY, description="Micro-batches that a step is computed in."
    )
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: float = Field(3e-4, ge=1e-12, le=1e3, description="Highest learning rate.")
    weight_decay: float = Field(0.05, ge=0, le=1e3, description="Weight decay.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd.")
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(
        "one_cycle", description="Learning rate schedule."
    )
    flip: Literal["half", "none"] = Field("half", description="Mirror half of the images, or none.")
    zoom: float = Field(
        0.0, ge=0, lt=1, description="Largest share of a picture's sides that is cut off at random."
    )
    statistics: Literal["updated", "frozen"] = Field(
        "updated",
        description="Batch normalisation: statistics of each batch, or the model's own (for small "
        "batches).",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the forward pass; bfloat16 needs a GPU."
    )
    choose: Literal["exchanged", "worst_group", "accuracy"] | None = Field(
        None,
        description="Accuracy on the validation images that chooses the epoch: with exchanged "
        "backgrounds, in the worst group, or plain; by default the first that can be computed.",
    )
    training_seed: int = Field(
        0, ge=0, le=LARGEST_SEED, description="Seed of image order, augmentation and new weights."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate {self.accumulate} is more than the {self.batch_size} images of a step"
            )
        return self

    def steps_per_epoch(self, images: int) -> int:
        """Batches of nearly the same size, none of a single image."""
        return min(math.ceil(images / self.batch_size), max(1, images // 2))

    def total_steps(self, images: int) -> int:
        """Steps of the whole training."""
        return self.steps or self.epochs * self.steps_per_epoch(images)


class LearningSettings(BaseModel):
    """Which images to train on. Columns, masks and labels are read as those of the audited data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Address | None = Field(
        None, description="Images to train on, as --data; by default another split of the same."
    )
    train_split: str | None = Field(None, description="Split to train on.")
    validation_split: str | None = Field(
        None, description="Split by which the epoch is chosen; by default a share is held out."
    )
    validation_share: float = Field(
        0.15, gt=0, lt=1, description="Share of the training images that is held out."
    )
    donors_from: Literal["all", "patterns"] = Field(
        "all",
        description="Backgrounds that objects are put on in training: of all training images, or "
        "of those in confirmed patterns, whose compact artefacts are also pasted and filled.",
    )
    patterns_run: Address | None = Field(
        None,
        description="Finished audit of the training images whose patterns are meant; by default "
        "they are audited first.",
    )

    @model_validator(mode="after")
    def _uses_patterns_run(self) -> Self:
        if self.patterns_run is not None and self.donors_from != "patterns":
            raise ValueError(
                f"--patterns-run {self.patterns_run} is read for --donors-from patterns alone: add "
                "that, or leave it out"
            )
        return self

    def data(self, audited: DataSettings, split: str | None) -> DataSettings:
        """A split of the training data, which needs groups only for some objectives."""
        path = self.train or audited.path
        every = {"sample": None, "limit": None, "group_column": None, "class_groups": None}
        return audited.model_copy(update={"path": path, "split": split, **every})


@dataclass(frozen=True)
class TrainingRequest:
    """All settings of a training."""

    data: DataSettings  # audited before and after
    learning: LearningSettings
    foreground: ForegroundSettings
    recipe: FinetuneSettings
    patterns_run: str | None = None  # audit of the training images; None: donors are from all
