"""Faithfulness against cost as inline SVG, one mark per method.

The shape and the size of a mark repeat what its colour shows.

Horizontal positions are percentages of the plot plus pixels, vertical ones are pixels, so that the
plot fills the width available and its text keeps its size. Each name is tried at positions around
its mark, for every width of WIDTHS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.formatting import digits, short
from reports.scatter_labels import LINE, Anchor, Label, place_labels
from reports.visible_text import visible
from tasks.schema import Interval, MethodFigures, MethodsSummary

HEIGHT = 340  # of the plot, px
SPAN = 8.0  # least ratio between the ends of the axis of cost
BESIDE = 1.5  # percent: marks closer than this are put side by side
STEP = 9  # between marks side by side, px
LONGEST = 22  # letters of a name


@dataclass(frozen=True)
class MethodStanding:
    """How the recommendation judges a method."""

    recommended: bool
    failing: bool  # the map hardly changes when the network is randomised
    untested: bool
    dominated: bool

    @property
    def kind(self) -> str:
        """Its CSS classes in style.css."""
        states = ("recommended", "failing", "untested", "dominated")
        return " ".join(("mark", *(state for state in states if getattr(self, state))))


def standing_of(method: MethodFigures, recommended: str | None) -> MethodStanding:
    return MethodStanding(
        recommended=method.method == recommended,
        failing=method.sane is False,
        untested=method.sane is None,
        dominated=method.dominated_by is not None,
    )


@dataclass(frozen=True)
class Point:
    """A method in the plot."""

    name: str
    standing: MethodStanding
    cost: float
    declared: bool  # the cost is not a measured time but the declared passes
    faithfulness: Interval


def points(summary: MethodsSummary) -> list[Point]:
    """Methods whose cost and faithfulness are both known."""
    return [
        Point(
            method.method,
            standing_of(method, summary.recommended),
            cost,
            method.cost.times_forward is None,
            faithfulness,
        )
        for method in summary.methods
        if 0 < (cost := method.cost.price) < math.inf
        and (faithfulness := method.figures.get("faithfulness")) is not None
        and all(map(math.isfinite, (faithfulness.low, faithfulness.value, faithfulness.high)))
    ]


def scatter(drawn: Sequence[Point]) -> Markup:
    """The plot; there must be at least one point."""
    frame = _frame(drawn)
    anchors = _anchors(drawn, frame)
    named = [(anchor, _width(point)) for anchor, point in zip(anchors, drawn, strict=True)]
    marks = [
        _draw_method(*mark)
        for mark in sorted(
            zip(drawn, anchors, place_labels(named, HEIGHT), strict=True), key=_drawing_order
        )
    ]
    return Markup(
        '<svg class="scatter" role="img" width="100%" height="{}">'
        "<title>Faithfulness against cost</title><desc>{}</desc>{}{}</svg>"
    ).format(
        HEIGHT + 46,
        "; ".join(_describe(point) for point in drawn),
        Markup().join((*_horizontal_lines(frame), *_vertical_lines(frame))),
        Markup().join(marks),
    )


def legend_mark(state: str) -> Markup:
    """The mark of one state, for the legend."""
    names = ("recommended", "failing", "untested", "dominated")
    standing = MethodStanding(**{name: name == state for name in names})
    return Markup(
        '<svg class="sample" aria-hidden="true" width="20" height="20">'
        '<g class="{}" transform="translate(10 10)">{}</g></svg>'
    ).format(standing.kind, _symbol(standing))


@dataclass(frozen=True)
class _Frame:
    """The ends of both axes."""

    least: float  # cost
    most: float
    low: float  # faithfulness
    high: float
    step: float  # between the lines of faithfulness

    def x(self, cost: float) -> float:
        """Percent of the width."""
        return 100 * math.log(cost / self.least) / math.log(self.most / self.least)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT * (self.high - value) / (self.high - self.low)


def _frame(drawn: Sequence[Point]) -> _Frame:
    least = min(point.cost for point in drawn) / 1.4
    most = max(point.cost for point in drawn) * 1.4
    wider = max(1.0, math.sqrt(SPAN * least / most))
    low = min(point.faithfulness.low for point in drawn)
    high = max(point.faithfulness.high for point in drawn)
    step = _round_step(max(high - low, 0.05) / 7)
    return _Frame(
        least / wider,
        most * wider,
        step * (math.ceil(low / step - 0.3) - 1),  # room below the lowest and above the highest
        step * (math.floor(high / step + 0.3) + 1),
        step,
    )


def _round_step(least: float) -> float:
    """1, 2 or 5 of a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least * 0.999)


def _anchors(drawn: Sequence[Point], frame: _Frame) -> list[Anchor]:
    """The position of each mark; those of nearly equal cost are side by side, so none is hidden."""
    x = [frame.x(point.cost) for point in drawn]
    shift = dict.fromkeys(range(len(x)), 0.0)
    for group in _groups(x):
        for position, index in enumerate(group):
            shift[index] = STEP * (position - (len(group) - 1) / 2)
    return [
        Anchor(
            x[index],
            shift[index],
            frame.y(point.faithfulness.value),
            frame.y(point.faithfulness.high),
            frame.y(point.faithfulness.low),
        )
        for index, point in enumerate(drawn)
    ]


def _groups(x: Sequence[float]) -> Iterator[list[int]]:
    group: list[int] = []
    for index in sorted(range(len(x)), key=lambda index: (x[index], index)):
        if group and x[index] - x[group[0]] > BESIDE:
            yield group
            group = []
        group.append(index)
    yield group


def _name(point: Point) -> str:
    return short(visible(point.name), LONGEST) if point.name.strip() else "(empty)"


def _width(point: Point) -> float:
    """The width of its name in pixels; East Asian characters are as wide as high."""
    letter = 7.4 if point.standing.recommended else 6.8
    return sum(letter if ord(character) < 0x1100 else 13 for character in _name(point))


def _describe(point: Point) -> str:
    value = point.faithfulness
    return (
        f"{visible(point.name)}: {digits(value.value)} ({digits(value.low)} to "
        f"{digits(value.high)}) at {digits(point.cost)} times a forward pass"
    )


def _drawing_order(mark: tuple[Point, Anchor, Label]) -> tuple[bool, bool]:
    """The recommended method is drawn over the others, dominated ones under them."""
    standing = mark[0].standing
    return standing.recommended, not standing.dominated


def _draw_method(point: Point, anchor: Anchor, label: Label) -> Markup:
    return Markup(
        '<svg class="method" x="{:.2f}%" overflow="visible"><g class="{}">'
        "<title>{}</title>{}{}"
        '<g transform="translate({:g} {:.1f})">{}</g>{}</g></svg>'
    ).format(
        anchor.x,
        point.standing.kind,
        _describe(point),
        _whisker(anchor),
        _leader(anchor, label),
        anchor.shift,
        anchor.y,
        _symbol(point.standing),
        _name_text(label, _name(point)),
    )


def _symbol(state: MethodStanding) -> Markup:
    """A disc; a square if untested, hollow and crossed if it fails, ringed if recommended."""
    size = 3.5 if state.dominated else 5.0
    ring = Markup('<circle class="ring" r="8.5"/>') if state.recommended else Markup()
    if state.failing:
        cross = Markup('<path class="cross" d="M-3-3 3 3M-3 3 3-3"/>')
        return ring + Markup('<circle class="hollow" r="5.5"/>') + cross
    if state.untested:
        square = Markup('<rect class="solid" x="-{0:g}" y="-{0:g}" width="{1:g}" height="{1:g}"/>')
        return ring + square.format(size - 0.5, 2 * size - 1)
    return ring + Markup('<circle class="solid" r="{:g}"/>').format(size)


def _whisker(anchor: Anchor) -> Markup:
    path = "M{x:g} {top:.1f}V{bottom:.1f}M{left:g} {top:.1f}h6M{left:g} {bottom:.1f}h6"
    return Markup('<path class="whisker" d="{}"/>').format(
        path.format(x=anchor.shift, left=anchor.shift - 3, top=anchor.top, bottom=anchor.bottom)
    )


def _leader(anchor: Anchor, label: Label) -> Markup:
    """A thin line from a mark to its name, where the name had to move."""
    if abs(label.y - anchor.y) < LINE / 2:
        return Markup()
    line = '<path class="leader" d="M{:g} {:.1f}L{:g} {:.1f}"/>'
    end = label.x - 2 if label.side == "start" else label.x + 2
    return Markup(line).format(anchor.shift, anchor.y, end, label.y)


def _name_text(label: Label, name: str) -> Markup:
    return Markup('<text x="{:g}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        label.x, label.y + 4, label.side, name
    )


def _horizontal_lines(frame: _Frame) -> Iterator[Markup]:
    """The grid lines of faithfulness, with their values left of the plot."""
    line = Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>')
    word = Markup('<text class="tick" x="0" dx="-8" y="{:.1f}" text-anchor="end">{}</text>')
    decimals = max(0, -math.floor(math.log10(frame.step) + 1e-9))
    for number in range(round((frame.high - frame.low) / frame.step) + 1):
        value = frame.low + number * frame.step
        text = f"{value:.{decimals}f}".replace("-", "−") if abs(value) > 1e-9 else "0"
        yield line.format(frame.y(value)) + word.format(frame.y(value) + 4, text)


def _vertical_lines(frame: _Frame) -> Iterator[Markup]:
    """The grid lines of cost, with their values below the plot."""
    line = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    word = Markup('<text class="tick" x="{:.2f}%" y="{}" text-anchor="middle">{}</text>')
    for cost in _round_costs(frame.least, frame.most):
        text = f"{cost:,.0f}×" if cost >= 1 else f"{cost:g}×"
        yield line.format(frame.x(cost), HEIGHT) + word.format(frame.x(cost), HEIGHT + 18, text)
    title = '<text class="axis-title" x="100%" y="{}" text-anchor="end">{}</text>'
    yield Markup(title).format(HEIGHT + 40, "cost: times a bare forward pass, log scale →")


def _round_costs(least: float, most: float) -> Iterator[float]:
    """1, 2, 5, 10 …; only powers of ten where there are many."""
    times = (1,) if most / least > 300 else (1, 2, 5)
    for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1):
        for part in times:
            if least <= part * 10.0**power <= most:
                yield part * 10.0**power
