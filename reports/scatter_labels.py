"""Names beside their marks, positioned to cover as little as possible at any width of a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

WIDTHS = (300, 420, 640, 900, 1150)  # of a plot, px: from a phone to a desktop
LINE = 15  # height of a name, px
GAP = 11  # from a mark to its name, px
MARK = 7  # from a mark's middle to its edge, px
BEYOND = 10  # px that a name may extend beyond the plot's edge, where the page has room
STEP = 5  # between the heights that are tried, px
FAR = 3  # cost of each px away from the mark's height

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Anchor:
    """A mark with its whisker."""

    x: float  # percent of the width
    shift: float  # px beside it
    y: float
    top: float  # of the whisker
    bottom: float


@dataclass(frozen=True)
class Label:
    """A name, in px from the anchor's percentage; y is its middle."""

    x: float
    y: float
    side: Literal["start", "end"]
    width: float


def place_labels(named: Sequence[tuple[Anchor, float]], height: float) -> list[Label]:
    """The best position for the name at each anchor, of the given width, from the top down."""
    order = sorted(range(len(named)), key=lambda index: named[index][0].y)
    plots = [_Plot(width, [anchor for anchor, _ in named]) for width in WIDTHS]
    labels: dict[int, Label] = {}
    for index in order:
        labels[index] = _best_label(index, named[index][1], plots, height)
        for plot in plots:
            plot.names.append(plot.box(index, labels[index]))
    return [labels[index] for index in range(len(named))]


class _Plot:
    """What is drawn where in a plot of one width."""

    def __init__(self, width: float, anchors: Sequence[Anchor]) -> None:
        self.width = width
        self.x = [anchor.x * width / 100 for anchor in anchors]
        middles = [(x + anchor.shift, anchor) for x, anchor in zip(self.x, anchors, strict=True)]
        self.marks = [(x - MARK, at.y - MARK, x + MARK, at.y + MARK) for x, at in middles]
        self.whiskers = [(x - 3, at.top, x + 3, at.bottom) for x, at in middles]
        self.names: list[Box] = []

    def box(self, index: int, label: Label) -> Box:
        start = self.x[index] + label.x
        left = start if label.side == "start" else start - label.width
        return left, label.y - LINE / 2, left + label.width, label.y + LINE / 2

    def covered_cost(self, index: int, label: Label) -> float:
        """The cost of what the name of a mark would cover there, and of reaching outside."""
        box = self.box(index, label)
        outside = max(0.0, -BEYOND - box[0]) + max(0.0, box[2] - self.width - BEYOND)
        whiskers = (whisker for other, whisker in enumerate(self.whiskers) if other != index)
        return (
            400 * outside
            + 40 * sum(_overlap_area(box, name) for name in self.names)
            + 4 * sum(_overlap_area(box, mark) for mark in self.marks)
            + 3 * sum(_overlap_area(box, whisker) for whisker in whiskers)
        )


def _best_label(index: int, width: float, plots: Sequence[_Plot], height: float) -> Label:
    """The best position: nearer ones are tried first, until no further one can be better."""
    best, least = None, float("inf")
    for label in _candidates(plots[0], index, width):
        far = FAR * abs(label.y - _middle(plots[0].marks[index]))
        if far >= least or far > FAR * height:
            break
        if LINE / 2 < label.y < height - LINE / 2:
            covered = sum(plot.covered_cost(index, label) for plot in plots) / len(plots)
            cost = far + covered + (0 if label.side == "start" else 20)
            best, least = (label, cost) if cost < least else (best, least)
    assert best is not None, "a plot is higher than a name"
    return best


def _candidates(plot: _Plot, index: int, width: float) -> Iterator[Label]:
    """Positions ever further away, without end."""
    mark = plot.marks[index]
    shift = mark[0] + MARK - plot.x[index]
    far = 0
    while True:
        for y in (_middle(mark) + far, _middle(mark) - far):
            yield Label(shift + GAP, y, "start", width)
            yield Label(shift - GAP, y, "end", width)
        far += STEP


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _overlap_area(one: Box, other: Box) -> float:
    """The area that both cover."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0
