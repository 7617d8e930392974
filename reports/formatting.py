"""Figures and user text, formatted for reading."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

from reports.visible_text import visible
from tasks.schema import Excess, Interval, Rate
from tasks.schema.units import decimal, percent, points


def rounded_percent(value: float) -> str:
    """A share inside a sentence: `93%`."""
    if 0 < value < 0.005:
        return "under 1%"
    return "over 99%" if 0.995 <= value < 1 else f"{100 * value:.0f}%"


def interval(rate: Rate | Interval) -> str:
    """`32.2 to 37.7%`; empty where there is no rate."""
    if rate.low is None or rate.high is None:
        return ""
    return f"{100 * rate.low:.1f} to {100 * rate.high:.1f}%"


def points_interval(difference: Excess | Interval) -> str:
    """`+40.7 to +46.1`."""
    return f"{points(difference.low)} to {points(difference.high)}"


def chance(q: float | None) -> str:
    """A corrected probability, to three digits."""
    if q is None:
        return "–"
    return "<0.001" if q < 0.001 else f"{q:.3f}"


def plain(flag: str) -> str:
    """A flag in words: `rests on the background`."""
    return flag.replace("rests_on_", "rests on the ")


def short(text: str, longest: int = 90) -> str:
    """The two ends of a long name: folders differ at the start, files at the end."""
    if len(text) <= longest:
        return text
    tail = longest * 2 // 5
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.0f}"


def digits(value: float | None) -> str:
    """About three digits, for figures of different kinds in one table: `0.423`, `12.5`, `4,000`."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < value < 0.0005:
        return "<0.001"
    size = abs(value)
    decimals = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text.removeprefix("−") if not float(f"{value:.{decimals}f}") else text


def count_of(count: int, noun: str) -> str:
    """`1 image`, `1,200 images`."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def duration(seconds: float) -> str:
    """`41 s`, `2 min 41 s`, `3 h 2 min`."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def when(stamp: str) -> str:
    """`4 August 2026, 02:00 UTC`; a stamp that is not a date is returned unchanged."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def setting(value: object) -> str:
    """A value of the configuration, written as in a file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(chance, count_of, decimal, digits, duration, interval, number, percent, plain, points),
        *(points_interval, setting, short, visible, when),
    )
}
