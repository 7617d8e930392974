"""Classifiers whose dependence on the background is known for each image, made once and kept.

The truth of a test picture is what the network says when the generator draws the same object on
other clean backgrounds, which no audit ever sees. Shapes: N pictures, K classes, G kinds of
background, T other backgrounds: 3 of each other kind.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.synthetic import DatasetVariant, redraw, rows_of_split, train_once
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_preprocessing, small_resnet
from models.interventions import predict
from tasks.synthetic.baseline import training_images_of
from tasks.synthetic.dataset import scene_of, write_benchmark
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

VERSION = 1  # of the classifiers and their truths; another version is another folder
FOLDER = Path(tempfile.gettempdir()) / f"sightline-known-classifiers-{VERSION}"
TEST = 960
INSTANCES = 3  # of each other kind of background
BATCH = 128
ONE_CLASS = 0.97  # of the test pictures, for which a one-class network names its class

Kind = Literal["trained", "untrained", "constant", "one-class"]


@dataclass(frozen=True)
class ClassifierSpec(DatasetVariant):
    """Which pictures, and which network judges them."""

    mix: float | None = None  # weight of the background network in a product of two
    kind: Kind = "trained"

    @property
    def name(self) -> str:
        mixed = "" if self.mix is None else f"-mix{self.mix}"
        kind = "" if self.kind == "trained" else f"-{self.kind}"
        return f"{super().name}{mixed}{kind}"

    @property
    def folder(self) -> Path:
        """Of the pictures, which specifications of any mix and kind share."""
        return FOLDER / super().name

    @property
    def has_truth(self) -> bool:
        """Do some predictions rest on the background? Of others there is nothing to find."""
        return self.kind == "trained" and (self.has_shortcut or self.mix is not None)

    @property
    def settings(self) -> BenchmarkSettings:
        return self.make_settings(validation=0, test=TEST)


@dataclass(frozen=True)
class KnownClassifier:
    """A classifier, the table of its pictures, and the truths by the pictures' addresses."""

    table: Path
    classifier: Classifier
    truths: Truths | None


@dataclass(frozen=True)
class Truths:
    """What is true of the test pictures, by their addresses."""

    flips: dict[str, bool]  # the prediction changes on most of the other clean backgrounds
    flips_within: float  # share of changes on clean backgrounds of the same kind
    carried: dict[str, bool] | None  # of a product: its object network answers otherwise


class ProductOfExperts(nn.Module):
    """A network that knows objects and one that knows backgrounds, joined by a weight.

    A background speaks for the classes that the shortcut pairs with it.
    """

    own_K: Tensor

    def __init__(
        self, on_object: nn.Module, on_background: nn.Module, own_K: Tensor, mix: float
    ) -> None:
        super().__init__()
        self.on_object, self.on_background, self.mix = on_object, on_background, mix
        self.register_buffer("own_K", own_K)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        object_BK = self.on_object(image_BCHW).log_softmax(1)
        background_BG = self.on_background(image_BCHW).log_softmax(1)
        joint_BK: Tensor = object_BK + self.mix * background_BG[:, self.own_K]
        return joint_BK


def load_known_classifier(spec: ClassifierSpec) -> KnownClassifier:
    """From the machine's temporary folder, or made now."""
    table = write_benchmark(spec.folder, spec.settings, 1)
    classifier = _make_classifier(spec)
    truths = _load_truths(spec, classifier) if spec.has_truth else None
    return KnownClassifier(table, classifier, truths)


def _load_truths(spec: ClassifierSpec, classifier: Classifier) -> Truths:
    kept = FOLDER / f"{spec.name}.npz"
    if not kept.exists():
        np.savez(kept, allow_pickle=False, **_find_truths(spec, classifier))
    truths = np.load(kept)
    names = [str(spec.folder / row["file_name"]) for row in rows_of_split(spec.folder, "test")]
    flips_N = truths["other"].mean(1) > 0.5
    return Truths(
        dict(zip(names, flips_N.tolist(), strict=True)),
        float(truths["same"].mean()),
        dict(zip(names, truths["carried"].tolist(), strict=True)) if spec.mix else None,
    )


def _make_classifier(spec: ClassifierSpec) -> Classifier:
    settings = spec.settings
    built = BuiltNetwork(
        _make_network(spec).eval(),
        "generated",
        classes=settings.classes,
        preprocessing=small_preprocessing(settings.image_size),
    )
    return check_classifier(built, ModelSettings(address="generated"))


def _make_network(spec: ClassifierSpec) -> nn.Module:
    if spec.kind == "untrained":
        return untrained(len(spec.settings.classes), spec.seed)
    network = _train(spec, "label")
    if spec.kind == "constant":
        return constant(network)
    if spec.kind == "one-class":
        preprocessing = small_preprocessing(spec.settings.image_size)
        images = training_images_of(spec.folder, "test", preprocessing)
        return one_class(network, preprocessing.normalise(images.image_NCHW))
    if spec.mix is None:
        return network
    on_background = _train(spec, "background")
    return ProductOfExperts(network, on_background, own_backgrounds(spec.settings), spec.mix)


def untrained(classes: int, seed: int) -> nn.Module:
    """Fresh weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return small_resnet(classes)


def constant(network: nn.Module) -> nn.Module:
    """The same answer to every picture: its last layer does not look at what the others say."""
    with torch.no_grad():
        network.get_parameter("fc.weight").zero_()
    return network


def one_class(network: nn.Module, image_NCHW: Tensor) -> nn.Module:
    """Its first class for nearly all of these pictures, by a bias; it still looks at them."""
    with torch.no_grad():
        logit_NK = torch.cat([network(image_BCHW) for image_BCHW in torch.split(image_NCHW, BATCH)])
        lead_N = logit_NK[:, 1:].amax(1) - logit_NK[:, 0]
        network.get_parameter("fc.bias")[0] += lead_N.quantile(ONE_CLASS)
    return network


def own_backgrounds(settings: BenchmarkSettings) -> Tensor:
    """(K,): the number of the background that the shortcut pairs with each class."""
    own = [settings.drawing.own_background(label) for label in settings.classes]
    return torch.tensor([settings.backgrounds.index(background) for background in own])


def _train(spec: ClassifierSpec, column: str) -> nn.Module:
    """On the classes, or on the kinds of background."""
    settings = spec.settings
    classes = len(settings.classes)
    images = training_images_of(spec.folder, "train", small_preprocessing(settings.image_size))
    if column == "background":
        rows = rows_of_split(spec.folder, "train")
        numbers = [settings.backgrounds.index(row["background"]) for row in rows]
        images = replace(images, label_N=torch.tensor(numbers))
        classes = len(settings.backgrounds)
    return train_once(spec.folder / f"{column}.pt", images, settings, classes, spec.seed)


def _find_truths(spec: ClassifierSpec, classifier: Classifier) -> dict[str, np.ndarray]:
    """Does the prediction change on each clean background of another kind (N, T), of the same?"""
    rows, settings = rows_of_split(spec.folder, "test"), spec.settings
    pictures = [render(scene_of(row), settings).image_HW3 for row in rows]
    clean_N = _predict(classifier, pictures)
    changed: dict[str, list[np.ndarray]] = {"other": [], "same": []}
    for shift in range(len(settings.backgrounds)):
        for instance in range(INSTANCES if shift else 1):
            redrawn = [
                redraw(row, shift, 7 * number + instance, settings)
                for number, row in enumerate(rows)
            ]
            changed["other" if shift else "same"].append(_predict(classifier, redrawn) != clean_N)
    truths = {name: np.stack(columns, 1) for name, columns in changed.items()}
    if isinstance(classifier.network, ProductOfExperts):
        objects = replace(classifier, network=classifier.network.on_object)
        truths["carried"] = _predict(objects, pictures) != clean_N
    return truths


def _predict(classifier: Classifier, pictures: list[np.ndarray]) -> np.ndarray:
    picture_NCHW = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    found = [
        predict(classifier.network, classifier.preprocessing.normalise(picture_BCHW)).argmax(1)
        for picture_BCHW in torch.split(picture_NCHW, BATCH)
    ]
    predicted_N: np.ndarray = torch.cat(found).numpy()
    return predicted_N
