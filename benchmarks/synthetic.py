"""Generated pictures and small networks that several benchmarks share.

A network is trained once on this machine and kept: floats differ between machines, what is learnt
does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.classifier.small_resnet import small_preprocessing, small_resnet
from tasks.finetune.images import TrainingImages
from tasks.synthetic.baseline import train_small_resnet
from tasks.synthetic.dataset import read_rows, scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

MORE = {"third": {"train": 12_000}}  # a hundred classes take more pictures to learn
FAR = 10_000_000  # seeds of redrawn backgrounds; no picture of the benchmark has one


def chance_of(look: str) -> float:
    """The strength at which each class is as often on each background."""
    return 1 / len(BenchmarkSettings.model_validate({"look": look}).backgrounds)


@dataclass(frozen=True)
class DatasetVariant:
    """Which pictures of the generated benchmark."""

    look: str
    size: str  # of the objects
    strength: float  # of the shortcut
    seed: int

    @property
    def name(self) -> str:
        return f"{self.look}-{self.size}-{self.strength}-{self.seed}"

    @property
    def has_shortcut(self) -> bool:
        """Is a class in training more often on its own background than on others?"""
        return self.strength > chance_of(self.look)

    def make_settings(self, **pictures: int) -> BenchmarkSettings:
        """With as many pictures a split as named, else as many as the look takes."""
        return BenchmarkSettings.model_validate(
            {
                "look": self.look,
                "object_size": self.size,
                "strength": self.strength,
                "seed": self.seed,
                **MORE.get(self.look, {}),
                **pictures,
            }
        )


def rows_of_split(folder: Path, split: str) -> list[dict[str, str]]:
    """The lines of the benchmark's table."""
    return [row for row in read_rows(folder) if row["split"] == split]


def train_once(
    file: Path, images: TrainingImages, settings: BenchmarkSettings, classes: int, seed: int
) -> nn.Module:
    """By plain cross entropy; the weights are kept in the file."""
    if not file.exists():
        network = train_small_resnet(
            images, small_preprocessing(settings.image_size), classes, seed
        )
        torch.save(network.state_dict(), file)
    network = small_resnet(classes)
    network.load_state_dict(torch.load(file, weights_only=True))
    return network.eval()


def redraw(
    row: Mapping[str, str], shift: int, seed: int, settings: BenchmarkSettings
) -> np.ndarray:
    """(H, W, 3): the row's object on a new background, of the kind that stands `shift` further in
    the list of backgrounds; 0 is its own kind."""
    kinds = settings.backgrounds
    kind = kinds[(kinds.index(row["background"]) + shift) % len(kinds)]
    scene = replace(scene_of(row), background=kind, background_seed=FAR + seed)
    return render(scene, settings).image_HW3
