"""A view as SQL text, which DuckDB runs on the files of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.query.columns import Column, searched_columns
from tasks.query.database import ImageDatabase
from tasks.query.filters import Filter, SqlNames
from tasks.query.image_sql import distinct_names, image_sql, quote, text_literal
from tasks.query.views import Sorting
from tasks.runs.reader import Run

COORDINATES = "coordinates"  # the plot's file, where a lasso needs it


def copied_sql(
    runs: Sequence[Run], database: ImageDatabase, chosen: Filter, sorting: Sorting
) -> str:
    """SELECT row_id and image of a view, in its order."""
    found = image_sql(*runs)
    used = {"row_id", "image", *_used(chosen, database.columns), *filter(None, [sorting.column])}
    chosen_names = [column.name for column in found.columns if column.name in used]
    names = dict(zip(chosen_names, distinct_names(["row", *chosen_names])[1:], strict=True))
    quoted = {name: quote(called) for name, called in names.items()}
    where = SqlNames(_of(database.columns, names), quoted, database.coordinates).where(chosen)
    order = "row"
    if sorting.column is not None:
        order = f"{quoted[sorting.column]} {sorting.order.upper()} NULLS LAST, row"
    elif sorting.order == "desc":
        order = "row DESC"
    images = found.select(names)
    return (
        f"WITH images AS (\n{images}\n)\nSELECT row_id, image\nFROM images\n"
        f"WHERE {_with_literals(where.sql, where.parameters)}\nORDER BY {order};\n"
    )


def _used(chosen: Filter, columns: Mapping[str, Column]) -> set[str]:
    named = {getattr(condition, "column", None) for condition in chosen.conditions}
    if any(it.kind == "text" and it.column is None for it in chosen.conditions):
        named |= set(searched_columns(columns.values()))
    return {name for name in named if name is not None}


def _of(columns: Mapping[str, Column], names: Mapping[str, str]) -> dict[str, Column]:
    return {name: columns[name] for name in names}


def _with_literals(sql: str, parameters: tuple[Any, ...]) -> str:
    """The values in place of the question marks, which stand outside of quotes."""
    values = iter(parameters)
    pieces = re.split(r'("(?:[^"]|"")*")', sql)  # quoted names are kept
    return "".join(
        piece if piece.startswith('"') else re.sub(r"\?", lambda _: _literal(next(values)), piece)
        for piece in pieces
    )


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return text_literal(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)
