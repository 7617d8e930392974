"""Classifiers whose dependence on the background is known for each image, made once and kept.

A world is the generated benchmark's pictures, a network and, for each test picture, two truths:
what the network says when the generator draws the same object on other clean backgrounds, which no
audit ever sees. Shapes: N pictures, K classes, 3 other kinds of background, 3 of each.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.retraining.trained_networks import elsewhere, learnt
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_preprocessing
from models.interventions import predict
from tasks.synthetic.baseline import training_images_of
from tasks.synthetic.dataset import read_rows, scene_of, write_benchmark
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

VERSION = 1  # of the worlds; another version is another folder
TEST = 960
INSTANCES = 3  # of each other kind of background
BATCH = 128


@dataclass(frozen=True)
class World:
    """Which pictures and which network."""

    look: str
    size: str
    strength: float
    seed: int
    mix: float | None = None  # weight of the background network in a composed classifier

    @property
    def name(self) -> str:
        mixed = "" if self.mix is None else f"-mix{self.mix}"
        return f"{self.look}-{self.size}-{self.strength}-{self.seed}{mixed}"

    @property
    def settings(self) -> BenchmarkSettings:
        return BenchmarkSettings.model_validate(
            {
                "look": self.look,
                "object_size": self.size,
                "strength": self.strength,
                "seed": self.seed,
                "validation": 0,
                "test": TEST,
            }
        )


@dataclass(frozen=True)
class Known:
    """A world that is there: its table, its classifier, and the truths by row_id."""

    table: Path
    classifier: Classifier
    flips: dict[str, bool]  # the prediction changes on most of the other clean backgrounds
    flips_within: float  # share of changes on clean backgrounds of the same kind
    carried: dict[str, bool] | None  # of a composed one: its object network answers otherwise


class Composed(nn.Module):
    """One network that knows objects and one that knows backgrounds, by weight."""

    def __init__(self, on_object: nn.Module, on_background: nn.Module, mix: float) -> None:
        super().__init__()
        self.on_object, self.on_background, self.mix = on_object, on_background, mix

    def forward(self, image_BCHW: Tensor) -> Tensor:
        object_BK = self.on_object(image_BCHW).log_softmax(1)
        background_BK = self.on_background(image_BCHW).log_softmax(1)
        joined_BK: Tensor = object_BK + self.mix * background_BK
        return joined_BK


def known(world: World) -> Known:
    """The world, from the machine's temporary folder or made now."""
    folder = Path(tempfile.gettempdir()) / f"sightline-worlds-{VERSION}"
    settings = world.settings
    drawn = folder / replace(world, mix=None).name
    table = write_benchmark(drawn, settings, 1)
    preprocessing = small_preprocessing(settings.image_size)
    network = _network(world, drawn)
    built = BuiltNetwork(
        network, "generated", classes=settings.classes, preprocessing=preprocessing
    )
    classifier = check_classifier(built, ModelSettings(address="generated"))
    kept = folder / f"{world.name}.npz"
    if not kept.exists():
        np.savez(kept, **_truths(world, drawn, classifier))
    truths = np.load(kept)
    names = [str(drawn / row["file_name"]) for row in _test_rows(drawn)]
    flips = truths["other"].mean(1) > 0.5
    carried = dict(zip(names, truths["carried"].tolist(), strict=True)) if world.mix else None
    return Known(
        table,
        classifier,
        dict(zip(names, flips.tolist(), strict=True)),
        float(truths["same"].mean()),
        carried,
    )


def _network(world: World, drawn: Path) -> nn.Module:
    """One, or two that answer together."""
    if world.mix is None:
        return _trained(world, drawn, "label")
    on_object, on_background = (_trained(world, drawn, name) for name in ("label", "background"))
    return Composed(on_object, on_background, world.mix).eval()


def _trained(world: World, drawn: Path, column: str) -> nn.Module:
    album = training_images_of(drawn, "train", small_preprocessing(world.settings.image_size))
    if column == "background":
        places = {name: place for place, name in enumerate(world.settings.backgrounds)}
        rows = [row for row in read_rows(drawn) if row["split"] == "train"]
        album = replace(album, label_N=torch.tensor([places[row["background"]] for row in rows]))
    return learnt(drawn / f"{column}.pt", album, world.settings, world.seed)


def _test_rows(drawn: Path) -> list[dict[str, str]]:
    return [row for row in read_rows(drawn) if row["split"] == "test"]


def _truths(world: World, drawn: Path, classifier: Classifier) -> dict[str, Any]:
    """Does the prediction change on each clean background of another kind (N, 9), of the same?"""
    rows, settings = _test_rows(drawn), world.settings
    clean_N = _predicted(classifier, [render(scene_of(row), settings).image_HW3 for row in rows])
    changed: dict[str, list[np.ndarray]] = {"other": [], "same": []}
    for away in range(len(settings.backgrounds)):
        for instance in range(INSTANCES if away else 1):
            pictures = [
                elsewhere(row, away, 7 * number + instance, settings)
                for number, row in enumerate(rows)
            ]
            found_N = _predicted(classifier, pictures)
            changed["other" if away else "same"].append(found_N != clean_N)
    truths = {name: np.stack(columns, 1) for name, columns in changed.items()}
    if isinstance(classifier.network, Composed):
        objects = replace(classifier, network=classifier.network.on_object)
        pictures = [render(scene_of(row), settings).image_HW3 for row in rows]
        truths["carried"] = _predicted(objects, pictures) != clean_N
    return truths


def _predicted(classifier: Classifier, pictures: list[np.ndarray]) -> np.ndarray:
    picture_NCHW = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    found = [
        predict(classifier.network, classifier.preprocessing.normalise(picture_BCHW)).argmax(1)
        for picture_BCHW in torch.split(picture_NCHW, BATCH)
    ]
    predicted_N: np.ndarray = torch.cat(found).numpy()
    return predicted_N
