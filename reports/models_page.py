"""Two models on the same images as one HTML file: no network, no script, user text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.figure_changes import ChangeRow, change_table, rows_of
from reports.formatting import count_of
from reports.group_tables import MOST
from reports.heatmaps import outline, overlay
from reports.rendering import environment, thumbnail_address
from tasks.schema import FIGURES, ChangeKind, PairedExample, PairedFigure, PairedSummary

CHANGED: dict[ChangeKind, tuple[str, str]] = {
    "broken": ("Broken", "right before, wrong after"),
    "newly_flagged": ("Newly flagged", "rests on the background after, and did not before"),
    "fixed": ("Fixed", "wrong before, right after"),
    "no_longer_flagged": (
        "No longer flagged",
        "rested on the background before, and does not after",
    ),
}


def render_models(paired: PairedSummary, examples: Sequence[PairedExample]) -> str:
    """The page of a comparison, with examples in the given order."""
    return (
        environment()
        .get_template("models.html")
        .render(
            p=paired,
            headline=headline(paired),
            figures=change_table(*_by_verdict(paired.figures)),
            classes=change_table(("", rows_of(paired.classes[:MOST]))),
            class_groups=change_table(("", rows_of(paired.class_groups[:MOST]))),
            cards=[_card(example) for example in examples],
            titles=FIGURES,
            changed=CHANGED,
        )
    )


def headline(paired: PairedSummary) -> str:
    """The verdict as a number of figures, the worse ones first."""
    worse, better = (
        sum(figure.verdict == verdict for figure in paired.figures)
        for verdict in ("worse", "better")
    )
    if not paired.figures:
        return "Nothing could be compared."
    of = f"of {count_of(len(paired.figures), 'figure')}"
    if worse:
        return f"{worse} {of} {_is(worse)} worse, {better or 'none'} {_is(better)} better."
    if better:
        return f"{better} {of} {_is(better)} better, none is worse."
    return f"None {of} shows a change."


def _by_verdict(figures: Sequence[PairedFigure]) -> list[tuple[str, list[ChangeRow]]]:
    """The rows of each verdict with a heading, regressions first."""
    headings = {"worse": "Worse", "better": "Better", "unchanged": "No change shown"}
    return [
        (heading, rows_of(figure for figure in figures if figure.verdict == verdict))
        for verdict, heading in headings.items()
    ]


def _is(count: int) -> str:
    return "are" if count > 1 else "is"


@dataclass(frozen=True)
class Card:
    """An example with the data URLs of its images; None: missing."""

    example: PairedExample
    picture: str
    before: str | None
    after: str | None
    exchanged: str | None
    width: int
    height: int
    outlined: bool


def _card(example: PairedExample) -> Card:
    picture_HW3 = outline(example.picture_HW3, example.mask_HW)
    height, width = picture_HW3.shape[:2]
    exchange = example.exchange
    return Card(
        example,
        thumbnail_address(picture_HW3),
        _heat(example, example.map_before_HW),
        _heat(example, example.map_after_HW),
        None if exchange is None else thumbnail_address(exchange.picture_HW3),
        width,
        height,
        outlined=example.mask_HW is not None,
    )


def _heat(example: PairedExample, map_HW: np.ndarray | None) -> str | None:
    if map_HW is None:
        return None
    return thumbnail_address(overlay(example.picture_HW3, map_HW, example.mask_HW))
