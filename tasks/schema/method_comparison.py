"""methods.json: attribution methods side by side, each figure with its interval and its cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.schema.values import Interval, Value


class MethodCost(Value):
    forwards: float | None  # passes of the whole network per image, as the method declares
    backwards: float | None
    seconds: float | None  # per image, alone, on one worker
    images_per_second: float | None
    times_forward: float | None  # its time / that of a bare forward pass

    @property
    def price(self) -> float:
        """In bare forward passes: as measured, else as declared, a backward pass counted as two;
        infinite where neither is known."""
        if self.times_forward is not None:
            return self.times_forward
        return math.inf if self.forwards is None else self.forwards + 2 * (self.backwards or 0)


class MethodFigures(Value):
    method: str
    images: int  # with a map
    missing: int  # images whose map could not be made
    flat: int  # maps of zeros, which have no share
    cost: MethodCost
    figures: dict[
        str, Interval | None
    ]  # in the order of METHOD_FIGURES; None: could not be computed
    sane: bool | None  # does the map change when half of the network is randomised? None: untested
    dominated_by: (
        str | None
    )  # a method that is cheaper and no worse in faithfulness, lift, stability
    verdict: str  # why it is recommended or not


class MethodsSummary(Value):
    """methods.json."""

    schema_version: int
    created: str  # UTC
    run: str
    address: str  # of the model
    data: str
    foreground: str  # its source
    images: int
    tested: int  # images of the sanity checks
    numeric: str
    workers: int
    seconds: float
    recommended: str | None
    sentence: str  # the recommendation with its figures, or why there is none
    rule: str  # how the recommendation is made, in words
    methods: tuple[MethodFigures, ...]


@dataclass(frozen=True)
class Column:
    """One method's map of one image."""

    method: str
    map_hw: np.ndarray | None  # None: it could not be made


@dataclass(frozen=True)
class GalleryRow:
    """One image, explained by every method."""

    row_id: str
    prediction: str
    label: str | None
    picture_HW3: np.ndarray  # uint8, as the model saw it
    mask_HW: np.ndarray | None  # 0 to 1
    columns: tuple[Column, ...]
