"""What each objective makes of a network that has learnt a shortcut, and of one without.

A cell is one network, trained further by one objective and tested on pictures that nothing was
chosen by. It is kept in benchmarks/cells, and the study goes on where it stopped. Settings were
chosen on seeds of 100 and more. Shapes: N pictures, S=4 scenes of each, M of them explained, h w
cells of a map.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.retraining.pictures import StudyPictures
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.settings import ModelSettings
from models.map_quality.localisation import foreground_share, lift, to_cells
from models.methods.maps import explain
from models.methods.registry import find_method
from models.network.explain_request import ExplainRequest
from models.objectives.registry import find_objective
from tasks.finetune.checkpoint import TrainingState
from tasks.finetune.images import TrainingImages
from tasks.finetune.loop import Training, finetune
from tasks.finetune.predict import predict_classes
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.validation import HeldOut

CELLS = Path(__file__).parents[1] / "cells"
VERSION = 1  # of how cells are made and tested
STEPS = 300
MAPS = ("grad_cam", "layer_cam", "integrated_gradients", "input_x_gradient", "full_grad", "ibisa")
EXPLAINED, BATCH = 192, 64
ADDRESS = "sightline:small_resnet"
SETTINGS = FinetuneSettings(learning_rate=2e-3)


@dataclass(frozen=True)
class Row:
    """One way to retrain."""

    objective: str | None  # None: not retrained
    masks: str = "full"  # full, tenth, estimated
    labelled: bool = True
    cost: float = 1.0  # of a step against erm's, by `python -m benchmarks.speed.steps`
    trains: tuple[str, ...] = ()  # maps that the loss looks at


CAMS = ("grad_cam", "layer_cam")  # what the feature forms look at
ROWS = {
    "before": Row(None),
    "erm": Row("erm"),
    "swap": Row("swap", cost=1.045),
    "dfr": Row("dfr", cost=0.336),
    "sib, paper": Row("sib:form=paper", cost=3.56, trains=("input_x_gradient",)),
    "sib, robust, own mask": Row(
        "sib:form=robust:mask=self", cost=3.44, trains=("input_x_gradient",)
    ),
    "sib, robust, annotated": Row("sib:form=robust", cost=2.91, trains=("input_x_gradient",)),
    "sib, feature": Row("sib:form=feature", cost=1.015, trains=CAMS),
    "sib, interventional": Row("sib", cost=1.036, trains=CAMS),
    "sib, interventional, 10% masks": Row("sib", "tenth", cost=1.036, trains=CAMS),
    "sib, interventional, estimated": Row("sib", "estimated", cost=1.036, trains=CAMS),
    "sib, interventional, no labels": Row("sib", labelled=False, cost=1.036, trains=CAMS),
    "ibsgl, code": Row("ibsgl", cost=5.0, trains=CAMS),  # with all images' maps, each epoch
    "ibsgl, paper": Row("ibsgl:form=paper", cost=5.0, trains=CAMS),
}


@dataclass(frozen=True)
class Cell:
    """One network of the study."""

    pictures: StudyPictures
    row: str
    equal: str = "steps"  # or seconds
    settings: FinetuneSettings = SETTINGS

    @property
    def steps(self) -> int:
        share = ROWS["sib, interventional"].cost / ROWS[self.row].cost
        return STEPS if self.equal == "steps" else round(STEPS * share)

    @property
    def recipe(self) -> FinetuneSettings:
        return self.settings.model_copy(
            update={
                "objective": ROWS[self.row].objective or "erm",
                "steps": self.steps,
                "training_seed": self.pictures.seed,
            }
        )

    @property
    def file(self) -> Path:
        row = ROWS[self.row]
        recipe = self.recipe.model_dump(exclude_defaults=True)  # a new setting changes no cell
        content = json.dumps([VERSION, row.objective, row.masks, row.labelled, recipe])
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        name = f"{self.row} {self.equal}".replace(",", "").replace("%", "").replace(" ", "-")
        return CELLS / self.pictures.name / f"{name}-{digest}.npz"


@dataclass(frozen=True, eq=False)
class CellResult:
    """What a cell's network answers, and where its maps lie."""

    prediction_N: np.ndarray
    redrawn_SN: np.ndarray  # on a new background of the same kind, then of each other kind
    lift_M: Mapping[str, np.ndarray]
    history: list[dict[str, float]]
    seconds: float


def load_cell(cell: Cell) -> CellResult:
    """The cell as it was kept, or made now."""
    if not cell.file.exists():
        started = time.perf_counter()
        classifier, state = retrain(cell)
        seconds = time.perf_counter() - started
        _keep(cell, evaluate(cell.pictures, classifier), state, seconds)
    kept = np.load(cell.file)
    return CellResult(
        kept["prediction"],
        kept["moved"],
        {name: kept[f"lift.{name}"].astype(np.float64) for name in MAPS},
        json.loads(str(kept["history"])),
        float(kept["seconds"]),
    )


def retrain(cell: Cell) -> tuple[Classifier, TrainingState]:
    """The network that has learnt the pictures, trained further, or as it was."""
    pictures, row = cell.pictures, ROWS[cell.row]
    network, preprocessing = pictures.network(), pictures.preprocessing
    built = BuiltNetwork(
        network, ADDRESS, classes=pictures.settings.classes, preprocessing=preprocessing
    )
    classifier = check_classifier(built, ModelSettings(address=ADDRESS))
    if row.objective is None:
        return classifier, TrainingState()
    assert classifier.grid is not None
    objective = find_objective(row.objective).objective
    grids = (classifier.grid,) * len(objective.layers)
    held_out = HeldOut(pictures.validation, preprocessing, torch.device("cpu"))
    images = _training_images(pictures, row)
    training = Training(network, preprocessing, images, objective, cell.recipe, grids, held_out)
    return classifier, finetune(training)


def _training_images(pictures: StudyPictures, row: Row) -> TrainingImages:
    images = pictures.train_with_estimates() if row.masks == "estimated" else pictures.train
    if row.masks == "tenth":
        generator = torch.Generator().manual_seed(pictures.seed)
        images = replace(images, known_N=torch.rand(len(images), generator=generator) < 0.1)
    if not row.labelled:
        images = replace(images, label_N=torch.full_like(images.label_N, -1))
    return images


def evaluate(pictures: StudyPictures, classifier: Classifier) -> dict[str, np.ndarray]:
    """Answers on the test pictures, as they are and redrawn, and lifts of the first ones."""
    network, preprocessing = classifier.network, classifier.preprocessing
    columns = {
        "prediction": predict_classes(network, pictures.test.image_NCHW, preprocessing),
        "moved": torch.stack(
            [
                predict_classes(network, image_NCHW, preprocessing)
                for image_NCHW in pictures.redrawn()
            ]
        ),
    }
    found = {name: value.to(torch.uint8).numpy() for name, value in columns.items()}
    return found | {
        f"lift.{name}": lifts(pictures.test, classifier, name).numpy().astype(np.float16)
        for name in MAPS
    }


def lifts(test: TrainingImages, classifier: Classifier, name: str) -> Tensor:
    """(M,): of the maps of the predicted class; NaN for a map of zeros."""
    method = find_method(name)
    found = []
    for row_B in torch.split(torch.arange(EXPLAINED), BATCH):
        image_BCHW = classifier.preprocessing.normalise(test.image_NCHW[row_B])
        with torch.no_grad():
            target_B = classifier.network(image_BCHW).argmax(1)
        request = ExplainRequest(classifier.network, image_BCHW, target_B, grid=classifier.grid)
        map_Bhw = explain(method, request).abs()
        mask_Bhw = to_cells(test.mask_NHW[row_B] / 255, (map_Bhw.shape[1], map_Bhw.shape[2]))
        found.append(lift(foreground_share(map_Bhw, mask_Bhw), mask_Bhw.mean((1, 2))))
    return torch.cat(found)


def _keep(
    cell: Cell, columns: Mapping[str, np.ndarray], state: TrainingState, seconds: float
) -> None:
    cell.file.parent.mkdir(parents=True, exist_ok=True)
    history = [{"epoch": epoch.number, **epoch.figures} for epoch in state.history]
    training = {"history": np.array(json.dumps(history)), "seconds": np.array(seconds)}
    np.savez_compressed(cell.file, allow_pickle=False, **columns, **training)
