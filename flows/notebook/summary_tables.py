"""The figures of an audit as tables: of all images, and of their groups."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from flows.notebook.table_columns import FIGURES, GROUPS
from tasks import schema
from tasks.runs.reader import Run

OF_CLASSES = ("label", "prediction", "class_group")


def figure_table(run: Run) -> pa.Table:
    """Every figure of the whole dataset that has a value."""
    figures = run.summary().by_name()
    rows = [
        {
            "figure": name,
            "words": schema.FIGURES[name].words,
            "value": it.value,
            "low": it.low,
            "high": it.high,
            "images": None if isinstance(it, schema.Excess) else it.of,
        }
        for name, it in figures.items()
    ]
    return pa.Table.from_pylist(rows, schema=FIGURES)


def group_table(run: Run) -> pa.Table:
    """The classes, the groups of classes, and the values of the user's columns."""
    rows = [
        {
            "by": by,
            "group": group.name,
            "labelled": group.accuracy.of,
            "decided": group.flagged.of,
            **_with_ends("accuracy", group.accuracy),
            **_with_ends("flagged", group.flagged),
            **_with_ends("null", group.null),
            **({} if group.excess is None else _with_ends("excess", group.excess)),
            "q": group.q,
        }
        for by, groups in _groupings(run.summary())
        for group in groups
    ]
    return pa.Table.from_pylist(rows, schema=GROUPS)


def _groupings(summary: schema.Summary) -> Iterator[tuple[str, tuple[schema.GroupSummary, ...]]]:
    yield from zip(
        OF_CLASSES, (summary.by_label, summary.by_prediction, summary.by_class_group), strict=True
    )
    for column, groups in summary.by_column.items():
        yield (f"catalog.{column}" if column in OF_CLASSES else column), groups


def _with_ends(name: str, it: schema.Rate | schema.Excess) -> dict[str, float | None]:
    return {name: it.value, f"{name}_low": it.low, f"{name}_high": it.high}
