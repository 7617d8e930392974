"""A finished audit as one HTML file: no network, no script, every word of the user's escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import charts, group_tables
from reports.example_sentences import why
from reports.formatting import FILTERS, visible
from reports.heatmaps import Picture, colour_scale, fit, overlay, png, thumbnail
from tasks.schema import ChangedPicture, Example, Rate, Summary

TEMPLATES = Path(__file__).parent / "templates"
FAILURES = 30  # kinds listed
DUPLICATES = 10  # pictures listed


@dataclass(frozen=True)
class Thumbnail:
    """A changed picture as an address that carries its own bytes."""

    change: ChangedPicture
    picture: str


@dataclass(frozen=True)
class Card:
    """An example with its images as addresses that carry their own bytes."""

    example: Example
    picture: str
    overlay: str
    width: int
    height: int
    outlined: bool
    why: Markup
    changes: tuple[Thumbnail, ...]


def render_page(summary: Summary, examples: Sequence[Example]) -> str:
    """The audit's page. Examples are shown in the order given, the strongest flags first."""
    judged = summary.flagged.of > 0
    table = group_tables.flagged_table if judged else group_tables.accuracy_table
    columns = group_tables.column_tables(summary.by_column)
    return (
        environment()
        .get_template("audit.html")
        .render(
            s=summary,
            cards=[_card(example) for example in examples],
            by_label=table("Label", summary.by_label),
            by_prediction=table("Predicted class", summary.by_prediction),
            by_column=columns[: group_tables.COLUMNS],
            more_columns=len(columns[group_tables.COLUMNS :]),
            has_foreground=_has_foreground(summary),
            judged=judged,
        )
    )


def _has_foreground(summary: Summary) -> bool:
    """Is there any, annotated or estimated?"""
    return summary.foreground.source != "none" or summary.foreground.estimates is not None


def _card(example: Example) -> Card:
    picture_HW3 = fit(example.picture_HW3)
    height, width = picture_HW3.shape[:2]
    overlay_HW3 = overlay(example.picture_HW3, example.map_HW, example.mask_HW)
    return Card(
        example,
        _address(picture_HW3),
        _address(overlay_HW3),
        width,
        height,
        outlined=example.mask_HW is not None,
        why=why(example),
        changes=tuple(map(_thumbnail, example.changes)),
    )


def _thumbnail(change: ChangedPicture) -> Thumbnail:
    content = base64.b64encode(thumbnail(change.picture_HW3)).decode("ascii")
    return Thumbnail(change, f"data:image/jpeg;base64,{content}")


def _address(image_HW3: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image_HW3)).decode("ascii")


def _apart(one: Rate, other: Rate) -> bool:
    """Do the two intervals leave a gap?"""
    ends = (one.low, one.high, other.low, other.high)
    if any(end is None for end in ends):
        return False
    one_low, one_high, other_low, other_high = (end or 0.0 for end in ends)
    return one_low > other_high or other_low > one_high


@cache
def environment() -> Environment:
    """What the templates of every page share."""
    shared = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared.filters.update(FILTERS)
    shared.globals.update(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # ours, no user's word
        colour_scale=_address(colour_scale()),
        most_failures=FAILURES,
        most_duplicates=DUPLICATES,
        most_classes=group_tables.MOST,
        level=group_tables.LEVEL,
        stands_out=group_tables.stands_out,
        apart=_apart,
        charts=charts,
    )
    return shared


def _shown(value: Any) -> Any:
    """What every expression of a template passes through: no None, no NaN, no hidden character."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
