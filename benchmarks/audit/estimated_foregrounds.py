"""How good is the estimated foreground, and does its confidence know? Generated pictures.

python -m benchmarks.audit.estimated_foregrounds [--quick] [--json]. 300 test pictures a row,
every class on every background. Settings were chosen on the first look; the second was not looked
at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as geometry

from benchmarks.measure import Figure, at_most, main
from tasks.intervals.bootstrap import Draws, bootstrap_means
from tasks.intervals.rank_correlation import rank_correlation
from tasks.pictures.segmentation import estimate_foreground
from tasks.schema import Interval
from tasks.synthetic.dataset import plan, scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

PICTURES, FEW = 300, 60  # --quick
GOOD, WHOLE = 0.5, 0.8  # IoU; share of an object below which its mask cuts into it
TIMED = 40

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimates:
    """Pictures' estimates against their exact masks."""

    iou_N: Array
    covered_N: Array  # share of the object
    confidence_N: Array


def run(quick: bool) -> list[Figure]:
    """All figures; --quick takes few pictures of 64 pixels."""
    figures = []
    for look, size, pixels in _families(quick):
        settings = BenchmarkSettings.model_validate(
            {"look": look, "object_size": size, "image_size": pixels, "train": 0, "validation": 0}
            | {"test": FEW if quick else PICTURES}
        )
        figures += _figures(f"{look} look, {size} objects, {pixels} px", _estimate(settings), quick)
    return [*figures, *_costs()]


def _families(quick: bool) -> list[tuple[str, str, int]]:
    return [
        (look, size, pixels)
        for pixels in ((64,) if quick else (64, 128))
        for look in ("first", "second")
        for size in ("small", "default")
    ]


def _estimate(settings: BenchmarkSettings) -> Estimates:
    found = []
    for row in plan(settings):
        picture = render(scene_of(vars(row)), settings)
        estimate = estimate_foreground(torch.from_numpy(picture.image_HW3).permute(2, 0, 1))
        marked_HW = estimate.mask_HW.numpy() > 0
        both = int((marked_HW & picture.mask_HW).sum())
        either = int((marked_HW | picture.mask_HW).sum())
        found.append((both / either, both / int(picture.mask_HW.sum()), estimate.confidence))
    return Estimates(*np.array(found).T)


def _figures(name: str, estimates: Estimates, quick: bool) -> list[Figure]:
    """Quality, how often it is good, and whether low confidence marks what is worse."""
    third = len(estimates.iou_N) // 3
    order_N = np.argsort(estimates.confidence_N, kind="stable")
    lowest_N, others_N = estimates.iou_N[order_N[:third]], estimates.iou_N[order_N[third:]]
    goals: tuple[float | None, float | None] = (None, None) if quick else (0.7, 0.3)
    return [
        _mean(f"mean IoU, {name}", estimates.iou_N, goals[0]),
        _mean(f"IoU at least {GOOD}, {name}", estimates.iou_N >= GOOD),
        _mean(f"at least {WHOLE} of the object inside, {name}", estimates.covered_N >= WHOLE),
        _rank(f"rank correlation of confidence and IoU, {name}", estimates, goals[1]),
        _mean(f"mean IoU, third of lowest confidence, {name}", lowest_N),
        _mean(f"mean IoU, the other two thirds, {name}", others_N),
    ]


def _mean(name: str, values_N: NDArray[np.generic], goal: float | None = None) -> Figure:
    """With the 95% bootstrap interval of the mean."""
    (mean,) = bootstrap_means(np.asarray(values_N, np.float64)[:, None])
    return _figure(name, mean, goal)


def _rank(name: str, estimates: Estimates, goal: float | None) -> Figure:
    draws = Draws.of(len(estimates.iou_N))
    return _figure(name, rank_correlation(estimates.confidence_N, estimates.iou_N, draws), goal)


def _figure(name: str, found: Interval | None, goal: float | None) -> Figure:
    assert found is not None
    figure = Figure(name, found.value, found.low, found.high)
    if goal is None:
        return figure
    return replace(figure, goal=f"at least {goal:g}", holds=found.value >= goal)


def _costs() -> list[Figure]:
    """Process CPU time on this machine; medians over pictures."""
    settings = BenchmarkSettings(train=0, validation=0, test=TIMED)
    rows = plan(settings)
    drawn = [torch.from_numpy(render(scene_of(vars(row)), settings).image_HW3) for row in rows]
    pictures = [image_HW3.permute(2, 0, 1) for image_HW3 in drawn]
    large = [geometry.resize(picture_CHW, [224, 224]) for picture_CHW in pictures]
    return [
        at_most(None, "CPU ms a picture of 64 px", _milliseconds(pictures)),
        at_most(30, "CPU ms a picture of 224 px", _milliseconds(large), " ms"),
    ]


def _milliseconds(pictures: Sequence[Tensor]) -> list[float]:
    estimate_foreground(pictures[0])
    spent = []
    for picture_CHW in pictures:
        start = time.process_time()
        estimate_foreground(picture_CHW)
        spent.append((time.process_time() - start) * 1000)
    return spent


if __name__ == "__main__":
    main(run)
