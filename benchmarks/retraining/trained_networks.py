"""What worlds and sceneries are made of: networks that learnt once on this machine, and pictures
drawn again with another background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.classifier.small_resnet import small_preprocessing, small_resnet
from tasks.finetune.images import TrainingImages
from tasks.synthetic.baseline import train_network
from tasks.synthetic.dataset import scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

FAR = 10_000_000  # seeds of such backgrounds; no picture of the benchmark has one


def learnt(kept: Path, album: TrainingImages, settings: BenchmarkSettings, seed: int) -> nn.Module:
    """By plain cross entropy, once: floats differ between machines, what is learnt does not."""
    classes = len(settings.classes)
    if not kept.exists():
        network = train_network(album, small_preprocessing(settings.image_size), classes, seed)
        torch.save(network.state_dict(), kept)
    network = small_resnet(classes)
    network.load_state_dict(torch.load(kept, weights_only=True))
    return network.eval()


def elsewhere(
    row: Mapping[str, str], away: int, seed: int, settings: BenchmarkSettings
) -> np.ndarray:
    """(H, W, 3): the same object on another background, of the kind that is so many places away."""
    kinds = settings.backgrounds
    kind = kinds[(kinds.index(row["background"]) + away) % len(kinds)]
    scene = replace(scene_of(row), background=kind, background_seed=FAR + seed)
    return render(scene, settings).image_HW3
