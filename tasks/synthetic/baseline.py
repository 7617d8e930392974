"""The baseline of the benchmark: a small network that learns the planted shortcut."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import check_classifier, load_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import BUNDLE, ModelSettings
from models.classifier.small_resnet import small_preprocessing, small_resnet
from models.objectives.erm import Erm
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.images import TrainingImages, read_training_images
from tasks.finetune.loop import OnStep, Training, finetune
from tasks.finetune.settings import FinetuneSettings
from tasks.model_registry.registration import Origin, register_model
from tasks.pictures.samples import MaskReading, Reader
from tasks.synthetic.dataset import read_settings
from tasks.synthetic.settings import Split
from tasks.tracking.settings import RegistrySettings, Tracking

ADDRESS = "sightline:small_resnet"
RECIPE = FinetuneSettings(objective="erm", start="scratch", epochs=6, learning_rate=4e-3)
RETRAINING_RECIPE = FinetuneSettings(epochs=5, learning_rate=2e-3)  # removes the shortcut


def train_baseline(
    benchmark: Path, bundle: Path, on_step: OnStep | None = None, seed: int | None = None
) -> Path:
    """Train on the biased split of the benchmark and write a bundle, unless there is one already.

    The seed is that of the benchmark unless given.
    """
    if (bundle / BUNDLE).is_file():
        return bundle
    settings = read_settings(benchmark)
    preprocessing = small_preprocessing(settings.image_size)
    images = training_images_of(benchmark, "train", preprocessing)
    seed = settings.seed if seed is None else seed
    network = train_small_resnet(images, preprocessing, len(settings.classes), seed, on_step)
    built = BuiltNetwork(network, ADDRESS, classes=settings.classes, preprocessing=preprocessing)
    save_bundle(bundle, check_classifier(built, ModelSettings(address=ADDRESS)))
    return bundle


def register_baseline(bundle: Path, registry: RegistrySettings, tracking: Tracking) -> str:
    """Register the bundle, once; returns the address of its version."""
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    origin = Origin(f"baseline {classifier.digest}")
    return register_model(classifier, registry, tracking, origin).address


def training_images_of(
    benchmark: Path, split: Split, preprocessing: Preprocessing
) -> TrainingImages:
    """The pictures of one split, in the table's order."""
    settings = read_settings(benchmark)
    catalog = make_catalog(DataSettings(path=str(benchmark), split=split), settings.classes)
    return read_training_images(
        catalog, settings.classes, Reader(preprocessing, MaskReading("foreground", "upright"))
    )


def train_small_resnet(
    images: TrainingImages,
    preprocessing: Preprocessing,
    classes: int,
    seed: int,
    on_step: OnStep | None = None,
) -> nn.Module:
    """Train a small network from scratch; returns it in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = small_resnet(classes)
    recipe = RECIPE.model_copy(update={"training_seed": seed})
    finetune(Training(network, preprocessing, images, Erm(), recipe), on_step)
    return network
