"""Figures before and after, with their changes: rows for pages and terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts import change_axis, change_axis_end, change_bar
from tasks.schema import FIGURES, Figure, Move, PairedFigure


@dataclass(frozen=True)
class ChangeRow:
    """One figure, then and now."""

    figure: Figure
    name: str | None  # the class or the method
    ends: tuple[float, float]  # before and after
    images: tuple[int, int]
    change: tuple[float, float, float]  # low end, value, high end
    is_clear: bool
    sentence: str
    note: str = ""

    @property
    def title(self) -> str:
        return self.figure.title if self.name is None else f"{self.figure.title}, {self.name}"

    @property
    def before(self) -> str:
        return self.figure.unit.show(self.ends[0])

    @property
    def after(self) -> str:
        return self.figure.unit.show(self.ends[1])


@dataclass(frozen=True)
class ChangeTable:
    """Rows on one axis; unbounded figures are not drawn."""

    groups: Sequence[tuple[str, Sequence[ChangeRow]]]  # a heading, which may be empty, and its rows
    end: float

    @property
    def axis(self) -> Markup:
        return change_axis(self.end)

    def bar(self, row: ChangeRow) -> Markup:
        if not row.figure.unit.is_bounded:
            return Markup()
        return change_bar(row.change, self.end, row.sentence)


def rows_of(changes: Iterable[Move | PairedFigure]) -> list[ChangeRow]:
    """The changes since the last run, or between two models, in their order."""
    return [
        _row_of_runs(change) if isinstance(change, Move) else _row_of_models(change)
        for change in changes
    ]


def change_table(*groups: tuple[str, Sequence[ChangeRow]]) -> ChangeTable:
    """A table of groups, each with its heading."""
    drawn = [row.change for _, rows in groups for row in rows if row.figure.unit.is_bounded]
    return ChangeTable(
        [(heading, rows) for heading, rows in groups if rows], change_axis_end(drawn)
    )


def _row_of_runs(move: Move) -> ChangeRow:
    return ChangeRow(
        FIGURES[move.figure],
        move.name,
        (move.before, move.now),
        (move.of_before, move.of),
        (move.low, move.change, move.high),
        move.moved,
        move.sentence,
    )


def _row_of_models(figure: PairedFigure) -> ChangeRow:
    return ChangeRow(
        FIGURES[figure.figure],
        figure.name,
        (figure.before, figure.after),
        (figure.of, figure.of),
        (figure.low, figure.change, figure.high),
        figure.verdict != "unchanged",
        figure.sentence,
        figure.note,
    )
