"""Comparisons of methods to draw: ordinary, hostile, and with all that may be missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.schema import (
    METHOD_FIGURES,
    Column,
    GalleryRow,
    Interval,
    MethodCost,
    MethodFigures,
    MethodsSummary,
)
from tests.support.audit_summaries import LONG, NAMES, SPITEFUL

# faithfulness, share, correlation with the map of half a network, times a forward pass
ORDINARY: dict[str, tuple[float, float, float, float]] = {
    "grad_cam": (0.412, 0.431, 0.12, 0.99),
    "gradcam++": (0.398, 0.402, 0.14, 1.01),
    "layercam": (0.405, 0.418, 0.11, 1.0),
    "vjp": (0.231, 0.287, 0.24, 2.2),
    "integrated_gradients": (0.322, 0.305, 0.21, 52.0),
    "fullgrad": (0.344, 0.322, 0.31, 3.4),
    "rise:masks=500": (0.437, 0.391, 0.09, 508.0),
    "iba": (0.455, 0.513, 0.17, 61.0),
    "ibisa": (0.448, 0.497, 0.13, 41.0),
    "captum:GuidedBackprop": (0.297, 0.366, 0.83, 2.4),
}


def interval(value: float, half: float = 0.028, of: int = 120) -> Interval:
    return Interval(value=value, low=value - half, high=value + half, of=of)


def method(name: str, **changes: Any) -> MethodFigures:
    """One of ORDINARY, or any other, with figures that follow from a few of them."""
    faithful, share, half, times = ORDINARY.get(name, (0.3, 0.3, 0.2, 3.0))
    figures = {figure: interval(faithful) for figure in METHOD_FIGURES} | {
        "share": interval(share),
        "lift": interval(share / 0.15, 0.2),
        "pointing": interval(share + 0.3, 0.08),
        "deletion_blur": interval(0.62 - faithful),
        "deletion_mean": interval(0.55 - faithful),
        "kept_30": interval(0.51 - faithful / 2),
        "kept_60": interval(0.31 - faithful / 3),
        "kept_90": interval(0.0102 - faithful / 100, 0.001),
        "average_drop": interval(0.7 - faithful),
        "increase": interval(0.021, 0.02),
        "head": interval(half + 0.1, 0.05),
        "half": interval(half, 0.05),
        "whole": interval(half - 0.15, 0.05),
        "stability": interval(0.93 - half / 4, 0.01),
        "reliance": interval(share / 2, 0.16),
    }
    ordinary: dict[str, Any] = {
        "method": name,
        "images": 120,
        "missing": 0,
        "flat": 0,
        "cost": cost(times),
        "figures": figures,
        "sane": half < 0.5,
        "dominated_by": None,
        "verdict": "as faithful as the best, but more expensive than the recommended one",
    }
    return MethodFigures(**{**ordinary, **changes})


def cost(times: float) -> MethodCost:
    return MethodCost(
        forwards=max(1.0, round(times / 2)),
        backwards=round(times / 2),
        seconds=0.011 * times,
        images_per_second=1 / (0.011 * times),
        times_forward=times,
    )


def no_cost(passes: float | None = 1) -> MethodCost:
    """Nothing was measured."""
    return MethodCost(
        forwards=passes, backwards=passes, seconds=None, images_per_second=None, times_forward=None
    )


def comparison(**changes: Any) -> MethodsSummary:
    """Ten methods: one recommended, one that is not sane, two dominated."""
    special: dict[str, dict[str, Any]] = {
        "ibisa": {"verdict": "recommended"},
        "captum:GuidedBackprop": {
            "verdict": "its maps hardly change when half of the network is randomised (rank "
            "correlation 0.83 "
            "(0.78 to 0.88))",
        },
        "integrated_gradients": {
            "dominated_by": "grad_cam",
            "verdict": "dominated by grad_cam: cheaper, and no worse in any figure that counts",
            "missing": 2,
            "images": 118,
        },
        "vjp": {"dominated_by": "grad_cam", "verdict": "less faithful than iba", "flat": 3},
    }
    ordinary: dict[str, Any] = {
        "schema_version": 1,
        "created": "2026-08-04T02:00:11+00:00",
        "run": "/runs/methods",
        "address": "torchvision:resnet18",
        "data": "/data/scenes",
        "foreground": "annotated",
        "images": 120,
        "tested": 32,
        "numeric": "float32, deterministic",
        "workers": 2,
        "seconds": 1284.0,
        "recommended": "ibisa",
        "sentence": "Use ibisa: faithfulness 0.45 (0.42 to 0.48), at 41 times the time of a bare "
        "prediction; iba has 0.46 (0.43 to 0.48) at 61 times, and the images do not tell the two "
        "apart.",
        "rule": "Of the sane methods, those whose faithfulness is within the 95% interval of the "
        "best's; of these the cheapest that no other dominates.",
        "methods": tuple(method(name, **special.get(name, {})) for name in ORDINARY),
    }
    return MethodsSummary(**{**ordinary, **changes})


def without_recommendation(**changes: Any) -> MethodsSummary:
    """Nothing was tested, nothing has a mask."""
    bare = ("share", "lift", "pointing", "top_k", "heat_ratio", "head", "half", "whole", "reliance")
    methods = tuple(
        method(name, sane=None, figures=method(name).figures | dict.fromkeys(bare))
        for name in ("grad_cam", "rise:masks=500", "vjp")
    )
    said = "No method is recommended: none was checked by randomisation."
    none = {"recommended": None, "sentence": said, "foreground": "none", "tested": 0}
    return comparison(**{**none, "methods": methods, **changes})


def without_figures() -> MethodsSummary:
    """One method, of which nothing is known."""
    bare = method("vjp", figures=dict.fromkeys(METHOD_FIGURES), cost=no_cost(), sane=None, images=0)
    return without_recommendation(methods=(bare,), images=0)


def hostile_comparison() -> MethodsSummary:
    strange = {
        "share": interval(math.nan),
        "faithfulness": Interval(value=0.2, low=-math.inf, high=math.inf, of=3),
        "lift": interval(12345.6),
        "top_k": interval(-0.0001),
    }
    names = (*NAMES, "grad_cam", "模型" * 30, "a" * 11)
    methods = [
        method(name, verdict=SPITEFUL, dominated_by=LONG, sane=(True, False, None)[index % 3])
        for index, name in enumerate(names)
    ]
    return comparison(
        run=SPITEFUL,
        created=SPITEFUL,
        address=SPITEFUL,
        data=LONG,
        foreground=SPITEFUL,
        numeric=LONG,
        recommended=SPITEFUL,
        sentence=SPITEFUL * 3,
        rule=LONG,
        methods=(*methods, method(LONG, figures=strange, cost=no_cost(), verdict=LONG)),
    )


def row(number: int, methods: Sequence[str], size: int = 64, **changes: Any) -> GalleryRow:
    """A disc on a striped ground; maps of different fineness around it."""
    y_HW, x_HW = np.mgrid[0:size, 0:size] / size
    centre = np.random.default_rng(number).uniform(0.3, 0.7, 2)
    mask_HW = (np.hypot(y_HW - centre[0], x_HW - centre[1]) < 0.2).astype(float)
    ground_HW3 = np.stack(
        [90 + 60 * np.sin(20 * x_HW + number), 110 + 80 * y_HW, 90 - 40 * y_HW], 2
    )
    picture_HW3 = np.where(mask_HW[..., None] > 0, (200, 70, 60), ground_HW3)
    ordinary: dict[str, Any] = {
        "row_id": f"test/{number:05d}.png",
        "prediction": ("tent", "teapot", "balloon")[number % 3],
        "label": "tent",
        "picture_HW3": picture_HW3.round().clip(0, 255).astype(np.uint8),
        "mask_HW": mask_HW,
        "columns": tuple(
            Column(method=name, map_hw=blob(centre, (7, 14, size)[index % 3], 0.1 + 0.03 * index))
            for index, name in enumerate(methods)
        ),
    }
    return GalleryRow(**{**ordinary, **changes})


def blob(centre: np.ndarray, cells: int, width: float) -> np.ndarray:
    y_hw, x_hw = (np.mgrid[0:cells, 0:cells] + 0.5) / cells
    heat_hw = np.exp(-((y_hw - centre[0]) ** 2 + (x_hw - centre[1]) ** 2) / (2 * width**2))
    return np.asarray(heat_hw, dtype=np.float32)


def gallery(summary: MethodsSummary, images: int = 6) -> list[GalleryRow]:
    return [row(number, [it.method for it in summary.methods]) for number in range(images)]


def hostile_gallery() -> list[GalleryRow]:
    """No map, a map of zeros, a signed one, one of a single cell, no mask, odd sizes of picture."""
    maps = (None, np.zeros((7, 7)), np.linspace(-1, 1, 9).reshape(3, 3), np.ones((1, 1)))
    columns = tuple(
        Column(method=name, map_hw=map_hw) for name, map_hw in zip(NAMES, maps, strict=False)
    )
    wide_HW3 = np.full((20, 300, 3), 90, dtype=np.uint8)
    return [
        row(0, [], columns=columns, row_id=SPITEFUL, label=SPITEFUL, prediction=LONG),
        row(1, [], columns=columns, mask_HW=None, label=None, row_id=LONG, prediction=""),
        row(2, [], columns=columns, picture_HW3=wide_HW3, mask_HW=np.zeros((20, 300))),
        row(3, []),
    ]
