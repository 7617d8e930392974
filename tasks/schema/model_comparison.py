"""compare.json: two models' audits of the same images, figure by figure and image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.schema.patterns import PatternChange
from tasks.schema.tables import VERSION
from tasks.schema.values import Rate, Value

Verdict = Literal["worse", "better", "unchanged"]
ChangeKind = Literal["broken", "newly_flagged", "fixed", "no_longer_flagged"]  # of an image
CHANGE_KINDS: tuple[ChangeKind, ...] = ("broken", "newly_flagged", "fixed", "no_longer_flagged")
REGRESSIONS: tuple[ChangeKind, ...] = ("broken", "newly_flagged")


class PairedFigure(Value):
    """A figure of both audits, over images that have it in both, and its change."""

    figure: str  # its name in FIGURES
    name: str | None  # the class, or lift's method
    before: float
    after: float
    change: float  # after - before
    low: float  # paired interval of the change
    high: float
    of: int  # images
    differ: int  # of them, those whose value changed
    higher_is_better: bool
    verdict: Verdict
    sentence: str
    note: str = ""  # which groups are the worst


class MissingFigure(Value):
    """A figure that could not be compared, and why."""

    figure: str
    name: str | None
    reason: str


class Answer(Value):
    """One model's answer for an image."""

    prediction: str
    confidence: float
    correct: bool | None  # null without a label
    flag: str
    flips: float | None  # share of exchanged backgrounds that change the prediction


class ChangedImage(Value):
    """An image that is right, or flagged, in only one of the audits."""

    row_id: str
    label: str | None
    before: Answer
    after: Answer
    turns: tuple[ChangeKind, ...]


class AuditedModel(Value):
    """One of the two audits."""

    run: str  # folder
    created: str
    address: str
    digest: str


class PairedSummary(Value):
    """compare.json: two models on the same images."""

    schema_version: int = VERSION
    before: AuditedModel
    after: AuditedModel
    data: str
    foreground: str  # its source
    method: str  # of the later run's flags, whose maps are shown
    images: int  # with the same bytes, predicted by both
    left_out: int  # images of the catalog that are not predicted by both, or have other bytes
    predictions_changed: Rate
    sentence: str  # the verdict in words
    figures: tuple[PairedFigure, ...]  # regressions first; 95% each
    missing: tuple[MissingFigure, ...]
    classes: tuple[PairedFigure, ...]  # by label, flags by label too; regressions first
    confidence: float  # of each class's interval, so that all hold together with 95%
    smallest_class: int  # images that a class needs to be judged, or a group of classes
    class_groups: tuple[PairedFigure, ...] = ()  # the same by group of classes, where there are any
    group_confidence: float = 0.95  # of each group's interval, as for classes
    turns: dict[ChangeKind, int]  # images of each kind of change
    changed: tuple[ChangedImage, ...]  # at most a few, the worst regressions first
    patterns: tuple[PatternChange, ...] | None = None  # null where one audit looked for none

    @property
    def regressions(self) -> tuple[PairedFigure, ...]:
        return tuple(figure for figure in self.figures if figure.verdict == "worse")


@dataclass(frozen=True)
class PairedExchange:
    """The object on one other background, and both models' predictions."""

    picture_HW3: np.ndarray  # uint8
    donor: str
    donor_label: str | None
    before: str
    after: str


@dataclass(frozen=True)
class PairedExample:
    """The pictures of a changed image, in the geometry that both models saw."""

    image: ChangedImage
    picture_HW3: np.ndarray  # uint8
    mask_HW: np.ndarray | None  # bool
    map_before_HW: np.ndarray | None  # float, >= 0, at the picture's size; None: missing
    map_after_HW: np.ndarray | None
    exchange: PairedExchange | None
