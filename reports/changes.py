"""A change with its interval as inline SVG, on an axis with 0 in its middle."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports.charts import ROW
from tasks.schema import PairedFigure

ENDS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)  # where an axis of changes may end, on both sides
AXIS = 16  # height, px


def end_of(figures: Sequence[PairedFigure]) -> float:
    """The shortest axis that holds every interval."""
    furthest = max((max(abs(it.low), abs(it.high)) for it in figures), default=0.0)
    return next((end for end in ENDS if furthest <= end), ENDS[-1])


def change_bar(figure: PairedFigure, end: float) -> Markup:
    """A bar from 0 to the change, its interval as a whisker."""
    low, zero, value, high = (
        _place(number, end) for number in (figure.low, 0.0, figure.change, figure.high)
    )
    middle = ROW / 2
    drawn = (
        _line("axis", (zero, zero), (0, ROW))
        + _bar(min(zero, value), abs(value - zero), middle)
        + _line("whisker", (low, high), (middle, middle))
        + _line("whisker", (low, low), (middle - 4, middle + 4))
        + _line("whisker", (high, high), (middle - 4, middle + 4))
    )
    return _svg("interval-bar", ROW, figure.sentence, drawn)


def change_axis(end: float) -> Markup:
    """The scale above a column of changes, in points."""
    ticks = [
        Markup('<text class="tick" x="{:.0f}%" y="11" text-anchor="{}">{}</text>').format(*tick)
        for tick in (
            (0, "start", f"−{100 * end:g}"),
            (50, "middle", "0"),
            (100, "end", f"+{100 * end:g}"),
        )
    ]
    words = f"Axis of changes from −{100 * end:g} to +{100 * end:g} points"
    return _svg("rate-axis", AXIS, words, Markup().join(ticks))


def _place(number: float, end: float) -> float:
    return 50 + 50 * max(-1.0, min(1.0, number / end))


def _bar(left: float, width: float, middle: float) -> Markup:
    return Markup(
        '<rect class="bar" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="10.0"/>'
    ).format(left, width, middle - 5)


def _line(kind: str, across: tuple[float, float], down: tuple[float, float]) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{:g}" y2="{:g}"/>').format(
        kind, *across, *down
    )


def _svg(kind: str, height: int, words: str, drawn: Markup) -> Markup:
    return Markup(
        '<svg class="{}" role="img" width="100%" height="{}"><title>{}</title>{}</svg>'
    ).format(kind, height, words, drawn)
