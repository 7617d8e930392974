"""A finished audit as one HTML file: no network, no script, every word of the user's escaped."""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import charts
from reports.overlays import Picture, colour_scale, fitted, overlay, png
from tasks.schema import ClassSummary, Example, Rate, Summary

TEMPLATES = Path(__file__).parent / "templates"
FEW = 20  # a rate of fewer images is shown with a note
CLASSES = 30  # bars a chart; a model with 1,000 classes stays readable
FAILURES = 30  # kinds listed
DUPLICATES = 10  # pictures listed
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Card:
    """An example with its two images as addresses that carry their own bytes."""

    example: Example
    picture: str
    overlay: str
    width: int
    height: int
    outlined: bool


@dataclass(frozen=True)
class Bars:
    """The worst classes by one rate, on one axis."""

    rows: tuple[ClassSummary, ...]
    left_out: int
    end: float  # of the axis


def render_page(summary: Summary, examples: Sequence[Example]) -> str:
    """The audit's page. Examples are shown in the order given, the strongest flags first."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            s=summary,
            cards=[_card(example) for example in examples],
            by_label=_bars(summary, summary.by_label),
            by_prediction=_bars(summary, summary.by_prediction),
            flags_anything=summary.foreground.source != "none",
        )
    )


def _card(example: Example) -> Card:
    picture_HW3 = fitted(example.picture_HW3)
    height, width = picture_HW3.shape[:2]
    overlay_HW3 = overlay(example.picture_HW3, example.map_HW, example.mask_HW)
    outlined = example.mask_HW is not None
    return Card(example, _address(picture_HW3), _address(overlay_HW3), width, height, outlined)


def _address(image_HW3: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image_HW3)).decode("ascii")


def _bars(summary: Summary, classes: Sequence[ClassSummary]) -> Bars:
    """The worst by what is surely so: one flagged image of one does not lead the list."""
    rates, badness = _flagged, _surely_flagged
    if summary.foreground.source == "none":
        rates, badness = _accuracy, _surely_wrong
    known = [row for row in classes if rates(row).of]
    rows = tuple(sorted(known, key=badness, reverse=True)[:CLASSES])
    return Bars(rows, len(classes) - len(rows), charts.scale_of([rates(row) for row in rows]))


def _flagged(row: ClassSummary) -> Rate:
    return row.flagged


def _accuracy(row: ClassSummary) -> Rate:
    return row.accuracy


def _surely_flagged(row: ClassSummary) -> float:
    return row.flagged.low or 0.0


def _surely_wrong(row: ClassSummary) -> float:
    return 1 - (1.0 if row.accuracy.high is None else row.accuracy.high)


def _apart(one: Rate, other: Rate) -> bool:
    """Do the two intervals leave a gap?"""
    ends = (one.low, one.high, other.low, other.high)
    if any(end is None for end in ends):
        return False
    one_low, one_high, other_low, other_high = (end or 0.0 for end in ends)
    return one_low > other_high or other_low > one_high


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # ours, no user's word
        colour_scale=_address(colour_scale()),
        few=FEW,
        most_failures=FAILURES,
        most_duplicates=DUPLICATES,
        most_classes=CLASSES,
        apart=_apart,
        charts=charts,
    )
    return environment


def _shown(value: Any) -> Any:
    """What every expression of a template passes through: no None, no NaN, no hidden character."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def visible(text: str) -> str:
    """Line ends as an arrow; what is unprintable or would turn the reading order as a mark."""
    lines = text.replace("\r\n", "\n").replace("\n", "↵").replace("\t", " ")
    return "".join("\ufffd" if _hidden(character) else character for character in lines)


def _hidden(character: str) -> bool:
    """Controls, lone surrogates (a path that is no UTF-8), overrides that disguise an ending."""
    return unicodedata.category(character) in {"Cc", "Cs"} or character in TURNING


def short(text: str, longest: int = 90) -> str:
    """The two ends of a long name: files differ at the end, folders at the start."""
    if len(text) <= longest:
        return text
    tail = longest * 2 // 5
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.2f}"


def counted(count: int, noun: str) -> str:
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
    """`4 August 2026, 02:00 UTC`; a stamp that is no date is shown as it is."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def setting(value: object) -> str:
    """A value of the configuration as it would stand in a file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


FILTERS: dict[str, Callable[..., str]] = {
    "counted": counted,
    "decimal": decimal,
    "duration": duration,
    "interval": charts.interval,
    "number": number,
    "percent": charts.percent,
    "plain": charts.plain,
    "setting": setting,
    "short": short,
    "visible": visible,
    "when": when,
}
