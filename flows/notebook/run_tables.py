"""The tables of a run: what a row of each is, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flows.notebook import table_columns, table_parts
from flows.notebook.table_columns import described, words_of
from flows.notebook.table_parts import Parts, Wanted
from models.errors import UserError, suggest
from tasks.query.columns import Column, Kind
from tasks.query.database import image_table
from tasks.query.image_sql import image_sql
from tasks.runs.reader import Run
from tasks.runs.stages import FAITHFULNESS, FEATURES, SANITY, SCORES

IMAGES = "images"  # the table whose columns depend on the run


@dataclass(frozen=True)
class RunTable:
    """A table that every run has; it has no rows where the run computed nothing for it."""

    row: str  # what one is
    schema: pa.Schema
    parts: Parts
    by_method: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(it.name, _kind(it.type), words_of(it), own=True) for it in self.schema)

    def read(self, run: Run, wanted: Wanted) -> pa.Table:
        chosen = pa.schema([self.schema.field(name) for name in wanted.columns])
        parts = (part.select(chosen.names).cast(chosen) for part in self.parts(run, wanted))
        return pa.concat_tables([chosen.empty_table(), *parts]).unify_dictionaries()


TABLES = {
    "scores": RunTable(
        "a map, against the foreground",
        table_columns.SCORES,
        table_parts.by_method(SCORES),
        by_method=True,
    ),
    "maps": RunTable("a map", table_columns.MAPS, table_parts.maps, by_method=True),
    "faithfulness": RunTable(
        "a map, against the model (of a comparison of methods)",
        table_columns.FAITHFULNESS,
        table_parts.by_method(FAITHFULNESS),
        by_method=True,
    ),
    "sanity": RunTable(
        "a map, against the map of a changed model or picture (of a comparison of methods)",
        table_columns.SANITY,
        table_parts.by_method(SANITY),
        by_method=True,
    ),
    "features": RunTable("an image", table_columns.FEATURES, table_parts.of_stage(FEATURES)),
    "interventions": RunTable(
        "a changed picture of an image", table_columns.INTERVENTIONS, table_parts.interventions
    ),
    "failures": RunTable(
        "what could not be computed of an image", table_columns.FAILURES, table_parts.failures
    ),
    "patterns": RunTable("a pattern", table_columns.PATTERNS, table_parts.patterns),
    "pattern_members": RunTable(
        "an image of a pattern", table_columns.PATTERN_MEMBERS, table_parts.pattern_members
    ),
    "groups": RunTable(
        "a class, a group of classes, or a value of a column of the data",
        table_columns.GROUPS,
        table_parts.groups,
    ),
    "figures": RunTable("a figure of the audit", table_columns.FIGURES, table_parts.figures),
}
ROWS = {IMAGES: "an image", **{name: table.row for name, table in TABLES.items()}}


def read_run_table(
    run: Run, name: str, columns: Sequence[str] | None = None, method: str | None = None
) -> pa.Table:
    """A table of a run, in the catalog's order: all its columns, or these."""
    known = {column.name: column for column in columns_of(run, name)}
    chosen = tuple(known if columns is None else dict.fromkeys(columns))
    if not chosen or isinstance(columns, str):
        raise UserError(f"columns is {columns!r}: give a list of names, such as ['row_id']")
    for column in chosen:
        if column not in known:
            raise UserError(
                f"the table {name!r} has no column {column!r}{suggest(column, known)}; it has "
                f"{', '.join(known)}"
            )
    methods = _methods(run, name, method)
    if name == IMAGES:
        return _describe(image_table(run, columns=chosen), known)
    return TABLES[name].read(run, Wanted(chosen, methods))


def columns_of(run: Run, name: str) -> tuple[Column, ...]:
    """The columns of a table of this run."""
    if name == IMAGES:
        return tuple(it.column for it in image_sql(run).columns)
    if name not in TABLES:
        raise UserError(
            f"a run has no table {name!r}{suggest(name, ROWS)}; it has {', '.join(ROWS)}"
        )
    return TABLES[name].columns


def _describe(images: pa.Table, columns: Mapping[str, Column]) -> pa.Table:
    """With the meaning of each column; texts of categories as such."""
    return images.cast(
        pa.schema(
            [
                described(
                    it.name,
                    table_columns.NAME if _is_category(it, columns) else it.type,
                    columns[it.name].words,
                )
                for it in images.schema
            ]
        )
    )


def _is_category(field: pa.Field, columns: Mapping[str, Column]) -> bool:
    return columns[field.name].kind == "category" and pa.types.is_string(field.type)


def _methods(run: Run, name: str, method: str | None) -> tuple[str, ...]:
    """This method, or all of the run."""
    if method is None:
        return tuple(run.methods)
    if name == IMAGES or not TABLES[name].by_method:
        others = ", ".join(it for it, table in TABLES.items() if table.by_method)
        raise UserError(
            f"the table {name!r} has no rows by method: leave out method={method!r}, or take one "
            f"of the tables {others}"
        )
    run.check_method(method)
    return (method,)


def _kind(data_type: pa.DataType) -> Kind:
    if pa.types.is_dictionary(data_type) or pa.types.is_boolean(data_type):
        return "category"
    if pa.types.is_string(data_type):
        return "text"
    return "list" if pa.types.is_list(data_type) else "number"
