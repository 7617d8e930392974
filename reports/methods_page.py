"""Attribution methods side by side as one HTML file: no network, no script, user text escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.example_sentences import breakable_name
from reports.formatting import digits
from reports.heatmaps import Picture, enlarge, outline, overlay
from reports.method_figures import GROUPS, PASSES, Group
from reports.rendering import environment, thumbnail_address
from reports.scatter import MethodStanding, legend_mark, points, scatter, standing_of
from tasks.schema import Column, Figure, GalleryRow, MethodFigures, MethodsSummary
from tasks.schema.figures import COST

TABLES = (GROUPS[:1], GROUPS[1:2], GROUPS[2:])  # by table, none wider than a page
ACROSS = 9  # at most, pictures in a line of the gallery


def render_methods(summary: MethodsSummary, gallery: Sequence[GalleryRow]) -> str:
    """The page of a comparison, with methods and images in the given order."""
    drawn = points(summary)
    return (
        environment()
        .get_template("methods.html")
        .render(
            s=summary,
            plot=scatter(drawn) if drawn else None,
            not_drawn=_not_drawn(summary, {point.name for point in drawn}),
            declared=[point.name for point in drawn if point.declared],
            legend=_legend(summary),
            legend_mark=legend_mark,
            breakable_name=breakable_name,
            tables=[_table(groups, summary) for groups in TABLES],
            standings=[standing_of(method, summary.recommended) for method in summary.methods],
            groups=GROUPS,
            gallery=[_card(row) for row in gallery],
        )
    )


@dataclass(frozen=True)
class Cell:
    """A figure of a method; low and high are None where it has no interval."""

    value: float | None
    text: str
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class TableRow:
    """A row of a table."""

    method: MethodFigures
    standing: MethodStanding
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class MethodTable:
    """Groups of figures, one row per method."""

    groups: tuple[Group, ...]
    rows: tuple[TableRow, ...]

    @property
    def title(self) -> str:
        return ", ".join(group.title for group in self.groups)


@dataclass(frozen=True)
class MapPicture:
    """A map over its picture as a data URL; None: no map."""

    method: str
    address: str | None
    flat: bool


@dataclass(frozen=True)
class Card:
    """An image of the gallery with the data URLs of its pictures."""

    row: GalleryRow
    picture: str
    width: int
    height: int
    outlined: bool
    columns: tuple[MapPicture, ...]

    @property
    def across(self) -> int:
        """Pictures in a line: as many lines as needed, evenly filled."""
        count = 1 + len(self.columns)
        return math.ceil(count / math.ceil(count / ACROSS))


def _table(groups: tuple[Group, ...], summary: MethodsSummary) -> MethodTable:
    figures = [figure for group in groups for figure in group.figures]
    columns = [_column(figure, summary.methods) for figure in figures]
    return MethodTable(
        groups,
        tuple(
            TableRow(method, standing_of(method, summary.recommended), cells)
            for method, cells in zip(summary.methods, zip(*columns, strict=True), strict=True)
        ),
    )


def _column(figure: Figure, methods: Sequence[MethodFigures]) -> list[Cell]:
    """The figure of each method, the best marked where they differ."""
    cells = [_cell(figure.name, method) for method in methods]
    values = [cell.value for cell in cells if cell.value is not None]
    if len(set(values)) < 2 or figure.name in PASSES:  # passes are declared, not measured
        return cells
    best = max(values) if figure.higher_is_better else min(values)
    return [replace(cell, best=cell.value == best) for cell in cells]


def _cell(name: str, method: MethodFigures) -> Cell:
    if name in PASSES:
        passes = _finite(getattr(method.cost, name))
        return Cell(passes, "–" if passes is None else f"{passes:,.1f}".removesuffix(".0"))
    if name in COST:
        value = _finite(getattr(method.cost, name))
        return Cell(value, digits(value))
    figure = method.figures.get(name)
    if figure is None or _finite(figure.value) is None:
        return Cell(None, digits(None))
    return Cell(figure.value, digits(figure.value), _finite(figure.low), _finite(figure.high))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _not_drawn(summary: MethodsSummary, drawn: set[str]) -> list[str]:
    return [method.method for method in summary.methods if method.method not in drawn]


def _legend(summary: MethodsSummary) -> list[tuple[str, str]]:
    """The states that occur in the plot, with their meanings."""
    standings = [standing_of(method, summary.recommended) for method in summary.methods]
    words = {
        "recommended": "recommended",
        "failing": "fails the randomisation check: its map hardly changes when half of the network "
        "is randomised",
        "untested": "not checked by randomisation",
        "dominated": "dominated: another is cheaper and no worse",
    }
    return [
        (state, meaning)
        for state, meaning in words.items()
        if any(getattr(standing, state) for standing in standings)
    ]


def _card(row: GalleryRow) -> Card:
    mask_HW = None if row.mask_HW is None else row.mask_HW >= 0.5
    picture_HW3 = outline(row.picture_HW3, mask_HW)
    height, width = picture_HW3.shape[:2]
    columns = tuple(_map_picture(column, row.picture_HW3, mask_HW) for column in row.columns)
    return Card(row, thumbnail_address(picture_HW3), width, height, mask_HW is not None, columns)


def _map_picture(column: Column, picture_HW3: Picture, mask_HW: np.ndarray | None) -> MapPicture:
    """The map's magnitude over the picture, as the figures count it."""
    if column.map_hw is None:
        return MapPicture(column.method, None, flat=False)
    map_HW = enlarge(abs(column.map_hw), *picture_HW3.shape[:2])
    drawn_HW3 = overlay(picture_HW3, map_HW, mask_HW)
    return MapPicture(column.method, thumbnail_address(drawn_HW3), flat=not column.map_hw.any())
