"""The benchmark's baseline: a small network that learns what its training pictures offer first."""

from __future__ import annotations

from pathlib import Path

import torch

from models.architectures import Built, ModelSettings
from models.classifier import BUNDLE, check_classifier, save_bundle
from models.smallnet import small_preprocessing, small_resnet
from tasks.finetune import FinetuneSettings, OnStep, finetune, load_split
from tasks.generate import read_settings

ADDRESS = "sightline:small_resnet"


def train_baseline(benchmark: Path, bundle: Path, on_step: OnStep) -> Path:
    """Train on the benchmark's biased split and write a bundle; one that is there is kept."""
    if (bundle / BUNDLE).is_file():
        return bundle
    drawn = read_settings(benchmark)
    settings = FinetuneSettings(seed=drawn.seed)
    preprocessing = small_preprocessing(drawn.image_size)
    images = load_split(benchmark, "train", drawn.classes, preprocessing)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = small_resnet(len(drawn.classes))
    finetune(network, images, preprocessing, settings, on_step)
    built = Built(network, ADDRESS, classes=drawn.classes, preprocessing=preprocessing)
    save_bundle(bundle, check_classifier(built, ModelSettings(address=ADDRESS)))
    return bundle
