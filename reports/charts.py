"""Charts as inline SVG.

Horizontal positions are percentages: a chart fills the width available, and its text keeps its
size, on a phone and in print. Colours are classes of style.css.

Everything variable goes through Markup.format, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports.formatting import interval, plain
from tasks.schema import FLAGS, Histogram, Interval, Rate
from tasks.schema.units import percent

ROW = 36  # height of an interval bar, px: rows touch, so that the reference runs through
METER = 4  # height, px
PLOT = 116  # height of a histogram's bars, px
AXIS = 16  # height of a scale, px
SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)  # where an axis of rates may end
CHANGES = (0.02, *SCALES, 2.0)  # where an axis of changes may end, on both sides of 0


def rate_axis_end(rates: Sequence[Rate]) -> float:
    """The smallest axis that holds every interval."""
    highest = max((rate.high or 0.0 for rate in rates), default=0.0)
    return next((end for end in SCALES if highest <= end), 1.0)


def interval_bar(
    rate: Rate | Interval,
    name: str,
    end: float = 1.0,
    reference: float | None = None,
    null: Rate | None = None,
) -> Markup:
    """A bar from 0 to the rate, its interval as a whisker, the null's rate as a mark, and a dashed
    line at `reference`."""
    drawn = Markup()
    if rate.value is not None and rate.low is not None and rate.high is not None:
        low, value, high = (_along_axis(part, end) for part in (rate.low, rate.value, rate.high))
        drawn = _box("bar", 0, value, ROW / 2 - 5, 10) + _whisker(low, high)
    return _svg(
        "interval-bar",
        ROW,
        f"{name}: {percent(rate.value)}",
        (f"{rate.count:,} of " if isinstance(rate, Rate) else "")
        + f"{rate.of:,}; 95% interval {interval(rate) or 'none'}; "
        + ("" if null is None else f"the null {percent(null.value)}; ")
        + f"the axis ends at {percent(end)}",
        _line("axis", 0, 0, ROW) + drawn + _reference(reference, end) + _null(null, end),
    )


def meter(share: float, name: str) -> Markup:
    """A thin bar, full at 1."""
    track = _box("track", 0, 100, 0, METER)
    filled = _box("bar", 0, 100 * share, 0, METER)
    return _svg("meter", METER, name, percent(share), track + filled)


def rate_axis(end: float) -> Markup:
    """The scale above a column of interval bars."""
    ticks = [
        _text("tick", 100 * part, 11, f"{100 * end * part:g}%", _anchor(part))
        for part in (0.0, 0.5, 1.0)
    ]
    description = f"Axis from 0 to {100 * end:g}%"
    return _svg("rate-axis", AXIS, "Scale", description, Markup().join(ticks))


def change_axis_end(changes: Sequence[tuple[float, float, float]]) -> float:
    """The smallest axis that holds every interval; each is its low end, its value, its high end."""
    furthest = max((max(abs(low), abs(high)) for low, _, high in changes), default=0.0)
    return next((end for end in CHANGES if furthest <= end), CHANGES[-1])


def change_bar(change: tuple[float, float, float], end: float, words: str) -> Markup:
    """A bar from the 0 in the middle to the change, its interval as a whisker."""
    low, zero, value, high = (
        50 + 50 * max(-1.0, min(1.0, number / end)) for number in (change[0], 0.0, *change[1:])
    )
    bar = _box("bar", min(zero, value), abs(value - zero), ROW / 2 - 5, 10)
    drawn = _line("axis", zero, 0, ROW) + bar + _whisker(low, high)
    return _svg("interval-bar", ROW, words, "", drawn)


def change_axis(end: float) -> Markup:
    """The scale above a column of changes, in points."""
    least, most = f"−{100 * end:g}", f"+{100 * end:g}"
    ticks = [
        _text("tick", x, 11, words, anchor)
        for x, words, anchor in ((0, least, "start"), (50, "0", "middle"), (100, most, "end"))
    ]
    description = f"Axis of changes from {least} to {most} points"
    return _svg("rate-axis", AXIS, "Scale", description, Markup().join(ticks))


def flag_strip(flags: Mapping[str, Rate]) -> Markup:
    """All predictions as one strip, divided by flag, in the order of FLAGS."""
    boxes, left = [], 0.0
    for flag in FLAGS:
        value = flags[flag].value if flag in flags else None
        width = 100 * (value or 0.0)
        boxes.append(_box(flag, left, width, 0, 28))
        left += width
    words = "; ".join(f"{plain(flag)} {percent(flags[flag].value)}" for flag in flags)
    return _svg("flag-strip", 28, "Predictions by flag", words, Markup().join(boxes))


def lift_histogram(histogram: Histogram, name: str) -> Markup:
    """Counts by lift, with the line of chance at 1."""
    edges = _finite_edges(histogram.edges)
    start, end = edges[0], edges[-1]
    tallest = max(histogram.counts, default=0) or 1
    bars = Markup().join(
        _bin(_along(low, (start, end)), _along(high, (start, end)), count / tallest)
        for low, high, count in zip(edges, edges[1:], histogram.counts, strict=False)
        if count
    )
    return _svg(
        "histogram",
        PLOT + 42,
        f"Distribution of lift, {name}",
        f"{sum(histogram.counts):,} maps; 1 is chance",
        _line_across(PLOT + 20) + bars + _chance(start, end) + _lift_ticks(start, end),
    )


def _bin(left: float, right: float, share: float) -> Markup:
    height = max(1.0, PLOT * share)  # one image among thousands is still visible
    return _box("count", left, right - left, 20 + PLOT - height, height)


def _chance(start: float, end: float) -> Markup:
    """The line of chance; its label goes to the left where it would leave the picture."""
    if not start <= 1.0 <= end:
        return Markup()
    x = _along(1.0, (start, end))
    gap, anchor = (-5, "end") if x > 84 else (5, "start")
    word = Markup(
        '<text class="chance-word" x="{:.2f}%" dx="{}" y="13" text-anchor="{}">chance</text>'
    )
    return _line("chance", x, 4, 20 + PLOT) + word.format(x, gap, anchor)


def _lift_ticks(start: float, end: float) -> Markup:
    step = next((step for step in (0.25, 0.5, 1, 2, 5) if (end - start) / step <= 8), end - start)
    count = math.floor((end - start) / step + 1e-9)
    ticks = []
    for value in (start + step * index for index in range(count + 1)):
        last = math.isclose(value, end)
        words = f"{value:g}+" if last else f"{value:g}"  # the last bin also holds everything above
        part = (value - start) / (end - start)
        ticks.append(_text("tick", 100 * part, PLOT + 37, words, _anchor(part)))
    return Markup().join(ticks)


def _finite_edges(edges: Sequence[float]) -> list[float]:
    """An unbounded last bin is drawn as wide as the one before."""
    if math.isinf(edges[-1]):
        return [*edges[:-1], 2 * edges[-2] - edges[-3] if len(edges) > 2 else edges[-2] + 1]
    return list(edges)


def _along(value: float, ends: tuple[float, float]) -> float:
    return 100 * (value - ends[0]) / (ends[1] - ends[0])


def _along_axis(value: float, end: float) -> float:
    return min(100.0, 100 * value / end)


def _anchor(part: float) -> str:
    """Labels at the ends of an axis stay inside the picture."""
    return "start" if part < 0.01 else "end" if part > 0.99 else "middle"


def _reference(value: float | None, end: float) -> Markup:
    if value is None or value > end:
        return Markup()
    return _line("reference", _along_axis(value, end), 0, ROW)


def _null(rate: Rate | None, end: float) -> Markup:
    if rate is None or rate.value is None:
        return Markup()
    return _line("null", _along_axis(rate.value, end), ROW / 2 - 10, ROW / 2 + 10)


def _whisker(low: float, high: float) -> Markup:
    across = Markup('<line class="whisker" x1="{:.2f}%" x2="{:.2f}%" y1="{:g}" y2="{:g}"/>')
    top, middle, bottom = ROW / 2 - 4, ROW / 2, ROW / 2 + 4
    caps = _line("whisker", low, top, bottom) + _line("whisker", high, top, bottom)
    return across.format(low, high, middle, middle) + caps


def _line(kind: str, x: float, top: float, bottom: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{:g}" y2="{:g}"/>').format(
        kind, x, x, top, bottom
    )


def _line_across(y: float) -> Markup:
    return Markup('<line class="axis" x1="0" x2="100%" y1="{:g}" y2="{:g}"/>').format(y, y)


def _box(kind: str, x: float, width: float, y: float, height: float) -> Markup:
    return Markup(
        '<rect class="{}" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>'
    ).format(kind, x, width, y, height)


def _text(kind: str, x: float, y: float, words: str, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.2f}%" y="{:g}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )


def _svg(kind: str, height: int, title: str, description: str, drawn: Markup) -> Markup:
    return Markup(
        '<svg class="{}" role="img" width="100%" height="{}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(kind, height, title, description, drawn)
