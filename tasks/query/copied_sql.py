"""A view as SQL text, which DuckDB runs on the files of the run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.errors import UserError
from tasks.query.columns import Column, searched_columns
from tasks.query.database import ImageDatabase
from tasks.query.filters import Filter, Space, SqlNames, find_column
from tasks.query.image_sql import ImageSql, SqlColumn, image_sql
from tasks.query.sql_words import distinct_names, quote, read_parquet, text_literal
from tasks.query.views import Sorting
from tasks.runs.reader import Run


def copied_sql(
    runs: Sequence[Run], database: ImageDatabase, chosen: Filter, sorting: Sorting
) -> str:
    """SELECT row_id and image of a view, in its order."""
    found = _with_coordinates(image_sql(*runs), runs[0], chosen.spaces)
    used = {"row_id", "image", *_used(chosen, database.columns), *filter(None, [sorting.column])}
    used |= {it.name for it in found.columns if it.name not in database.columns}
    chosen_names = [column.name for column in found.columns if column.name in used]
    names = dict(zip(chosen_names, distinct_names(["row", *chosen_names])[1:], strict=True))
    quoted = {name: quote(called) for name, called in names.items()}
    coordinates = {it: (quoted[f"plot.{it}_x"], quoted[f"plot.{it}_y"]) for it in chosen.spaces}
    where = SqlNames(database.columns, quoted, coordinates).where(chosen)
    order = "row"
    if sorting.column is not None:
        find_column(database.columns, sorting.column)
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


def _with_coordinates(found: ImageSql, run: Run, spaces: Collection[Space]) -> ImageSql:
    """Where a lasso asks for them, the coordinates of the plot."""
    if not spaces:
        return found
    if not run.folder.coordinates.is_file():
        raise UserError(
            f"{run.folder.path} does not hold the coordinates of the plot (it is not finished, or "
            "cannot be written): take the selection out as CSV instead"
        )
    names = [f"plot.{space}_{axis}" for space in spaces for axis in "xy"]
    plot = [SqlColumn(Column(name, "number", "", own=True), name) for name in names]
    joined = {**found.joined, "plot": read_parquet(run.folder.coordinates)}
    return replace(found, columns=(*found.columns, *plot), joined=joined)


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
