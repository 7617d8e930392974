"""Do maps lie on the object, and does the prediction follow them? Classifiers without a shortcut.

200 held-out pictures of each look; settings were chosen on other pictures of the first look (seeds
of 100 and more). Differences to IBISA are paired: positive where IBISA is better. RISE has 4,000
masks. Shapes: N pictures, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from benchmarks.audit.known_classifiers import (
    ClassifierSpec,
    KnownClassifier,
    load_known_classifier,
)
from benchmarks.measure import Figure, main
from benchmarks.synthetic import rows_of_split
from models.classifier.classifier import Classifier
from models.map_quality import localisation
from models.map_quality.faithfulness import find_endpoints, measure
from models.methods.maps import explain
from models.methods.registry import Method, NetworkMethod, find_method
from models.network.capture import as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.layers import cached_grid
from models.network.statistics import Moments, Statistics
from tasks.intervals.bootstrap import Draws, Floats, mean_of_known
from tasks.synthetic.dataset import scene_of
from tasks.synthetic.scene import render

METHODS = (
    *("grad_cam", "grad_cam_pp", "layer_cam", "full_grad", "saliency", "input_x_gradient", "vjp"),
    *("integrated_gradients", "smooth_grad", "iba", "iba:layer=stem", "rise", "ibisa"),
)
RIVALS = ("iba", "iba:layer=stem", "rise", "grad_cam")
PICTURES, SURVEYED, BATCH = 200, 1000, 25
SPECS = tuple(ClassifierSpec(look, "default", 0.25, 1) for look in ("first", "second"))
LEAD = "at least 0, or 0 within the interval"
HIGHER = {"pointing": True, "share": True, "deletion": False, "insertion": True}


@dataclass(frozen=True)
class Pictures:
    """What is explained, and where the objects are."""

    image_NCHW: Tensor
    mask_NHW: Tensor


def run(quick: bool) -> list[Figure]:
    """Every method on every classifier; --quick: 20 pictures, no RISE, first look."""
    torch.set_num_threads(1)
    figures = []
    for spec in SPECS[:1] if quick else SPECS:
        names = [name for name in METHODS if not (quick and name == "rise")]
        found = measure_methods(spec, names, 20 if quick else PICTURES)
        figures += _figures(f"{spec.look} look", found, with_goals=not quick)
    return figures


def measure_methods(
    spec: ClassifierSpec, names: Sequence[str], count: int
) -> dict[str, dict[str, Floats]]:
    """By method, the figures of each picture."""
    known = load_known_classifier(spec)
    pictures = draw_pictures(spec, known, "test", count)
    surveyed_NCHW = draw_pictures(spec, known, "train", SURVEYED).image_NCHW
    methods = {
        name: PreparedMethod.of(known.classifier, find_method(name), surveyed_NCHW)
        for name in names
    }
    return {name: _measure(method, pictures) for name, method in methods.items()}


def draw_pictures(spec: ClassifierSpec, known: KnownClassifier, split: str, count: int) -> Pictures:
    """So many pictures of a split, spread over it, in the classifier's geometry."""
    rows = rows_of_split(known.table.parent, split)
    count = min(count, len(rows))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    drawings = [render(scene_of(row), spec.settings) for row in chosen]
    picture_NHW3 = torch.from_numpy(np.stack([drawing.image_HW3 for drawing in drawings]))
    mask_NHW = torch.from_numpy(np.stack([drawing.mask_HW for drawing in drawings])).float()
    image_NCHW = known.classifier.preprocessing.normalise(picture_NHW3.permute(0, 3, 1, 2))
    return Pictures(image_NCHW, mask_NHW)


@dataclass(frozen=True)
class PreparedMethod:
    """A method with what it needs to know of a network."""

    method: Method
    classifier: Classifier
    grid: Grid | None
    statistics: Statistics | None

    @classmethod
    def of(cls, classifier: Classifier, method: Method, image_NCHW: Tensor) -> PreparedMethod:
        """Surveys the layer that the method names, else the classifier's own, where it must."""
        grid = classifier.grid
        if not (isinstance(method, NetworkMethod) and method.needs_statistics):
            return cls(method, classifier, grid, None)
        if method.layer:
            grid = cached_grid(classifier.network, method.layer, classifier.preprocessing.size)
        assert grid is not None
        batches = torch.split(image_NCHW, BATCH)
        found = (capture(classifier.network, grid, batch).activation_BDhw for batch in batches)
        statistics = reduce(Moments.merge, map(Moments.of, found)).statistics()
        return cls(method, classifier, grid, statistics)

    def request(self, image_BCHW: Tensor) -> ExplainRequest:
        """Of the predictions."""
        network = self.classifier.network
        with torch.no_grad():
            target_B = network(image_BCHW).argmax(1)
        return ExplainRequest(
            network, image_BCHW, target_B, grid=self.grid, statistics=self.statistics
        )


def _measure(prepared: PreparedMethod, pictures: Pictures) -> dict[str, Floats]:
    columns: dict[str, list[Tensor]] = {name: [] for name in HIGHER}
    batches = zip(
        torch.split(pictures.image_NCHW, BATCH), torch.split(pictures.mask_NHW, BATCH), strict=True
    )
    for image_BCHW, mask_BHW in batches:
        request = prepared.request(image_BCHW)
        map_Bhw = explain(prepared.method, request).abs()
        for name, value_B in _measure_batch(request, map_Bhw, mask_BHW):
            columns[name].append(value_B)
    return {name: torch.cat(found).double().numpy() for name, found in columns.items()}


def _measure_batch(
    request: ExplainRequest, map_Bhw: Tensor, mask_BHW: Tensor
) -> Iterator[tuple[str, Tensor]]:
    cells_Bhw = localisation.to_cells(mask_BHW, (map_Bhw.shape[1], map_Bhw.shape[2]))
    with as_found(request.network):
        faithful = measure(request, map_Bhw, find_endpoints(request))
    yield "pointing", localisation.pointing(map_Bhw, mask_BHW).float()
    yield "share", localisation.foreground_share(map_Bhw, cells_Bhw)
    yield "deletion", faithful.deletion_mean
    yield "insertion", faithful.insertion_blur


def _figures(look: str, found: dict[str, dict[str, Floats]], *, with_goals: bool) -> list[Figure]:
    """Each figure of each method, then what IBISA has over each rival."""
    draws = Draws.of(len(next(iter(found.values()))["share"]))
    figures = []
    for name in HIGHER:
        for method, columns in found.items():
            figures.append(_mean(draws, f"{look}, {name}: {method}", columns[name]))
    for name, higher in HIGHER.items():
        for rival in (rival for rival in RIVALS if rival in found):
            lead_N = (found["ibisa"][name] - found[rival][name]) * (1 if higher else -1)
            lead = _mean(draws, f"{look}, {name}: IBISA better than {rival} by", lead_N)
            if with_goals and name != "insertion":
                assert lead.high is not None
                lead = replace(lead, goal=LEAD, holds=lead.high >= 0)
            figures.append(lead)
    return figures


def _mean(draws: Draws, name: str, value_N: Floats) -> Figure:
    interval = mean_of_known(value_N, draws)
    assert interval is not None
    return Figure(name, interval.value, interval.low, interval.high)


if __name__ == "__main__":
    main(run)
