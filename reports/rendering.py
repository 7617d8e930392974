"""What the pages share: the environment of their templates, and pictures as data URLs.

All user text is escaped; no page needs a network or runs a script.
"""

from __future__ import annotations

import base64
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import charts, group_tables
from reports.formatting import FILTERS
from reports.heatmaps import Picture, colour_scale, jpeg, png, thumbnail
from reports.pattern_changes import describe_patterns, pattern_rows
from reports.visible_text import visible

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The environment of every page's template."""
    shared = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared.filters.update(FILTERS, prose=prose)
    shared.globals.update(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # ours, no user text
        colour_scale=picture_address(colour_scale()),
        most_classes=group_tables.MOST,
        charts=charts,
        pattern_rows=pattern_rows,
        describe_patterns=describe_patterns,
    )
    return shared


def picture_address(image_HW3: Picture) -> str:
    """The picture as a data URL, in the smaller format: photographs take a tenth as JPEG, and
    drawings less as PNG."""
    kinds = {"png": png(image_HW3), "jpeg": jpeg(image_HW3)}
    kind = min(kinds, key=lambda name: len(kinds[name]))
    return _data_address(kind, kinds[kind])


def thumbnail_address(image_HW3: Picture) -> str:
    """A small version of the picture as a data URL, for a picture among many."""
    return _data_address("jpeg", thumbnail(image_HW3))


def _data_address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def prose(text: str) -> Markup:
    """Our own text, with names in backticks set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _printable(value: Any) -> Any:
    """Applied to every expression of a template: no None, no NaN, no hidden character."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
