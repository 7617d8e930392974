"""What the pages share: one environment for their templates, and pictures that carry their bytes.

Every word of the user's is escaped; no page needs a network or runs a script.
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
from reports.formatting import FILTERS, visible
from reports.heatmaps import Picture, colour_scale, png, thumbnail

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """What the templates of every page share."""
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
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # ours, no user's word
        colour_scale=png_address(colour_scale()),
        most_classes=group_tables.MOST,
        charts=charts,
    )
    return shared


def png_address(image_HW3: Picture) -> str:
    """The picture as an address that carries its own bytes."""
    return "data:image/png;base64," + base64.b64encode(png(image_HW3)).decode("ascii")


def thumbnail_address(image_HW3: Picture) -> str:
    """A small one that stands beside many others."""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(image_HW3)).decode("ascii")


def prose(text: str) -> Markup:
    """Our own words, in which names stand in backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _printable(value: Any) -> Any:
    """What every expression of a template passes through: no None, no NaN, no hidden character."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
