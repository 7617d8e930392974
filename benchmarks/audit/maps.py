"""Do maps lie on the object, and does the prediction follow them? Classifiers without a shortcut.

200 held-out pictures of each look; settings were chosen on other pictures of the first look (seeds
of 100 and more). Differences to IBISA are paired: positive where IBISA is better. RISE has 4,000
masks. Shapes: N pictures, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from benchmarks.audit.known_classifiers import Known, World, known
from benchmarks.measure import Figure, main
from models.classifier.classifier import Classifier
from models.map_quality import localisation
from models.map_quality.faithfulness import find_ends, measure
from models.methods.maps import explain
from models.methods.registry import Method, NetworkMethod, find_method
from models.network.capture import as_found, capture
from models.network.grid import Grid
from models.network.layers import grid_at
from models.network.question import Question
from models.network.statistics import Moments, Statistics
from tasks.intervals.bootstrap import Draws, Floats, mean_of_known
from tasks.synthetic.dataset import read_rows, scene_of
from tasks.synthetic.scene import render

METHODS = (
    *("grad_cam", "grad_cam_pp", "layer_cam", "full_grad", "saliency", "input_x_gradient", "vjp"),
    *("integrated_gradients", "smooth_grad", "iba", "iba:layer=stem", "rise", "ibisa"),
)
RIVALS = ("iba", "iba:layer=stem", "rise", "grad_cam")
PICTURES, SURVEYED, BATCH = 200, 1000, 25
WORLDS = (World("first", "default", 0.25, 1), World("second", "default", 0.25, 1))
HIGHER = {"pointing": True, "share": True, "deletion": False, "insertion": True}


@dataclass(frozen=True)
class Pictures:
    """What is explained, and where the objects are."""

    image_NCHW: Tensor
    mask_NHW: Tensor


def run(quick: bool) -> list[Figure]:
    """Every figure of every method in every world; --quick: 20 pictures, no RISE, first look."""
    torch.set_num_threads(1)
    figures = []
    for world in WORLDS[:1] if quick else WORLDS:
        names = [name for name in METHODS if not (quick and name == "rise")]
        found = judged(world, names, 20 if quick else PICTURES)
        figures += _told(f"{world.look} look", found, judge=not quick)
    return figures


def judged(world: World, names: Sequence[str], count: int) -> dict[str, dict[str, Floats]]:
    """By method, the figures of each picture."""
    there = known(world)
    classifier = there.classifier
    pictures = drawn(world, there, "test", count)
    surveyed_NCHW = drawn(world, there, "train", SURVEYED).image_NCHW
    asking = {name: Asking.of(classifier, find_method(name), surveyed_NCHW) for name in names}
    return {name: _measured(asked, pictures) for name, asked in asking.items()}


def drawn(world: World, there: Known, split: str, count: int) -> Pictures:
    """So many pictures of a split, spread over it, in the classifier's geometry."""
    rows = [row for row in read_rows(there.table.parent) if row["split"] == split]
    count = min(count, len(rows))
    chosen = [rows[place * len(rows) // count] for place in range(count)]
    drawings = [render(scene_of(row), world.settings) for row in chosen]
    picture_NHW3 = torch.from_numpy(np.stack([drawing.image_HW3 for drawing in drawings]))
    mask_NHW = torch.from_numpy(np.stack([drawing.mask_HW for drawing in drawings])).float()
    image_NCHW = there.classifier.preprocessing.normalise(picture_NHW3.permute(0, 3, 1, 2))
    return Pictures(image_NCHW, mask_NHW)


@dataclass(frozen=True)
class Asking:
    """A method with what it needs to know of a network."""

    method: Method
    classifier: Classifier
    grid: Grid | None
    statistics: Statistics | None

    @classmethod
    def of(cls, classifier: Classifier, method: Method, image_NCHW: Tensor) -> Asking:
        """Surveys the layer that the method names, else the classifier's own, where it must."""
        grid = classifier.grid
        if not (isinstance(method, NetworkMethod) and method.surveys):
            return cls(method, classifier, grid, None)
        if method.layer:
            grid = grid_at(classifier.network, method.layer, classifier.preprocessing.size)
        assert grid is not None
        batches = torch.split(image_NCHW, BATCH)
        found = (capture(classifier.network, grid, batch).activation_BDhw for batch in batches)
        statistics = reduce(Moments.merge, map(Moments.of, found)).statistics()
        return cls(method, classifier, grid, statistics)

    def question(self, image_BCHW: Tensor) -> Question:
        """Of the predictions."""
        network = self.classifier.network
        with torch.no_grad():
            target_B = network(image_BCHW).argmax(1)
        return Question(network, image_BCHW, target_B, grid=self.grid, statistics=self.statistics)


def _measured(asking: Asking, pictures: Pictures) -> dict[str, Floats]:
    columns: dict[str, list[Tensor]] = {name: [] for name in HIGHER}
    batches = zip(
        torch.split(pictures.image_NCHW, BATCH), torch.split(pictures.mask_NHW, BATCH), strict=True
    )
    for image_BCHW, mask_BHW in batches:
        asked = asking.question(image_BCHW)
        heat_Bhw = explain(asking.method, asked).abs()
        for name, value_B in _of_batch(asked, heat_Bhw, mask_BHW):
            columns[name].append(value_B)
    return {name: torch.cat(found).double().numpy() for name, found in columns.items()}


def _of_batch(asked: Question, heat_Bhw: Tensor, mask_BHW: Tensor) -> Iterator[tuple[str, Tensor]]:
    cells_Bhw = localisation.to_cells(mask_BHW, (heat_Bhw.shape[1], heat_Bhw.shape[2]))
    with as_found(asked.network):
        faithful = measure(asked, heat_Bhw, find_ends(asked))
    yield "pointing", localisation.pointing(heat_Bhw, mask_BHW).float()
    yield "share", localisation.foreground_share(heat_Bhw, cells_Bhw)
    yield "deletion", faithful.deletion_mean
    yield "insertion", faithful.insertion_blur


def _told(where: str, found: dict[str, dict[str, Floats]], *, judge: bool) -> list[Figure]:
    """Each figure of each method, then what IBISA has over each rival."""
    draws = Draws.of(len(next(iter(found.values()))["share"]))
    figures = []
    for name in HIGHER:
        for method, columns in found.items():
            interval = mean_of_known(columns[name], draws)
            assert interval is not None
            told = f"{where}, {name}: {method}"
            figures.append(Figure(told, interval.value, interval.low, interval.high, "", None))
    for name, higher in HIGHER.items():
        for rival in (rival for rival in RIVALS if rival in found):
            lead_N = found["ibisa"][name] - found[rival][name]
            interval = mean_of_known(lead_N if higher else -lead_N, draws)
            assert interval is not None
            told = f"{where}, {name}: IBISA better than {rival} by"
            goal = _goal(name) if judge else ""
            holds = None if not goal else interval.high >= 0
            figures.append(Figure(told, interval.value, interval.low, interval.high, goal, holds))
    return figures


def _goal(name: str) -> str:
    return {"insertion": ""}.get(name, "at least 0, or 0 within the interval")


if __name__ == "__main__":
    main(run)
