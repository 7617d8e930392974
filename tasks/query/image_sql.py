"""The table of images as SQL over the Parquet files of a run, or of two.

The explorer reads its table with it, and "copy as SQL" prints it: one definition of every column.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from upath import UPath

from tasks import schema
from tasks.query.columns import BEFORE, CHANGES, COMPARED, WORDS, Column, Kind, describe
from tasks.query.sql_words import (
    distinct_names,
    finite,
    quote,
    read_numbered,
    read_parquet,
    text_literal,
)
from tasks.runs.reader import Run
from tasks.runs.stages import (
    FAILURES,
    FOREGROUNDS,
    INTERVENTIONS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    Stage,
)
from tasks.storage.parquet import open_parquet

MOST_NUMBERS = 12  # a user's column of so few whole numbers is a category
MOST_WORDS = 2_000  # as is one of so few texts

# Our columns by the files that they come from; the catalog's `row_id`, `image` and `label` stand
# before them, and what is derived from several files after them.
OF_STAGE = {
    PREDICTIONS: ("prediction", "confidence", "correct"),
    INTERVENTIONS: (
        *("object_removed", "background_removed"),
        *("object_removed_prediction", "background_removed_prediction"),
        *("reliance_exchange", "flips", "reliance_own"),
    ),
    FOREGROUNDS: ("estimate_confidence",),
    PICTURE_PROPERTIES: (
        *("width", "height", "brightness", "contrast", "sharpness", "jpeg_quality"),
    ),
}
OF_FLAGS = (
    *("flag", "reason", "score", "null_score", "kept", "reliance_removal", "flips_own"),
    *("area", "share", "lift", "other_object", "foreground"),
)
STORED_AS = {"estimate_confidence": "confidence"}  # under another name in its file
CATEGORIES = {
    *("label", "prediction", "correct", "flag", "other_object", "foreground"),
    *("object_removed_prediction", "background_removed_prediction"),
    *("label_group", "prediction_group"),
}
TEXTS = {"row_id", "image", "mask", "reason"}
LISTS = {"patterns", "failed", "change"}

PARTS = "part-*.parquet"
NAMELESS = "unnamed"  # a user's column, such as the numbers that pandas writes before each row


@dataclass(frozen=True)
class SqlColumn:
    """A column, and the SQL of its values."""

    column: Column
    values: str
    most_values: int = 0  # of a category: one of so few distinct values is one

    @property
    def name(self) -> str:
        return self.column.name


@dataclass(frozen=True)
class ImageSql:
    """Columns, and the files that they come from, which are joined to the catalog."""

    columns: tuple[SqlColumn, ...]
    catalog: str
    joined: Mapping[str, str]  # rows by the name that the columns call them

    def select(self, names: Mapping[str, str]) -> str:
        """SELECT the columns that have a name here, under it, with their number `row`."""
        chosen = [column for column in self.columns if column.name in names]
        values = [f"  {column.values} AS {quote(names[column.name])}" for column in chosen]
        joins = [
            f"LEFT JOIN {rows} AS {table} ON {table}.row_id = catalog.row_id"
            for table, rows in self.joined.items()
            if any(re.search(rf"\b{table}\.", column.values) for column in chosen)
        ]
        columns = ",\n".join(["  catalog.file_row_number::INTEGER AS row", *values])
        return "\n".join([f"SELECT\n{columns}", f"FROM {self.catalog} AS catalog", *joins])


def image_sql(run: Run, before: Run | None = None) -> ImageSql:
    """The table of images of a run, beside that of the run before."""
    tables = _RunTables(run, "")
    columns = [*tables.columns(), *tables.group_columns()]
    joined = tables.joined()
    if before is not None:
        earlier = _RunTables(before, "before_")
        compared = earlier.columns()
        columns += [_of_before(column) for column in compared if column.name in COMPARED]
        columns += _change(columns, are_flagged_alike(run, before))
        joined |= {"before_catalog": read_parquet(before.folder.catalog), **earlier.joined()}
    columns += tables.users_columns()
    return ImageSql(tuple(columns), tables.catalog, joined)


def are_flagged_alike(run: Run, before: Run) -> bool:
    """Are the flags of both made by the same rule?"""
    if not (run.folder.flags.is_file() and before.folder.flags.is_file()):
        return False
    return run.summary().rule.describe() == before.summary().rule.describe()


@dataclass(frozen=True)
class _RunTables:
    """The files of one run, under names that start with a prefix."""

    run: Run
    prefix: str

    @property
    def catalog(self) -> str:
        """With the number of each row."""
        return read_numbered(self.run.folder.catalog)

    def columns(self) -> list[SqlColumn]:
        """Our own columns that this run has."""
        catalog = f"{self.prefix}catalog"
        found = [self._own(name, catalog, name) for name in ("row_id", "image", "label")]
        found.append(SqlColumn(_own_column("mask"), f"array_to_string({catalog}.masks, '|')"))
        for stage in self._stages():
            stored = {name: STORED_AS.get(name, name) for name in OF_STAGE[stage]}
            found += [
                self._own(name, self.prefix + stage.name, stored[name])
                for name in OF_STAGE[stage]
                if stored[name] in self._stored_columns(stage)
            ]
        if self.run.folder.flags.is_file():
            names = open_parquet(self.run.folder.flags).schema.names
            found += [
                self._own(name, f"{self.prefix}flags", name) for name in OF_FLAGS if name in names
            ]
        found += [self._own(name, f"{self.prefix}{name}", name) for name, _, _ in self._lists()]
        if self._has_copies:
            found.append(SqlColumn(_own_column("copies"), f"{self.prefix}copies.copies"))
        return found

    def group_columns(self) -> list[SqlColumn]:
        """The groups of the classes, where the run has any."""
        groups = self.run.state.class_groups
        if groups is None:
            return []
        stored = [("label_group", "catalog.label")]
        if PREDICTIONS in self._stages():
            stored.append(("prediction_group", "predictions.prediction"))
        return [SqlColumn(_own_column(name), _grouped(groups, of)) for name, of in stored]

    def users_columns(self) -> list[SqlColumn]:
        """Those of the user's table; one that has the name of one of ours is `catalog.<name>`, also
        where this run lacks ours: a filter means the same in every run of the data."""
        fields = list(open_parquet(self.run.folder.catalog).schema)
        taken = {"row", *WORDS, *(BEFORE + name for name in COMPARED)}
        called = [field.name or f"C{number}" for number, field in enumerate(fields)]  # by DuckDB
        stored = distinct_names(called)
        found = []
        for field, name in zip(fields, stored, strict=True):
            if field.name not in schema.CATALOG.names:
                found.append(_users_column(field, f"catalog.{quote(name)}", taken))
                taken.add(found[-1].name)
        return found

    def joined(self) -> dict[str, str]:
        """Every other file that a column comes from, by its name in the SQL."""
        folder = self.run.folder
        files = {it.name: read_parquet(folder.stage(it), PARTS) for it in self._stages()}
        if folder.flags.is_file():
            files["flags"] = read_parquet(folder.flags)
        for name, values, parts in self._lists():
            files[name] = f"(SELECT row_id, {values} AS {name} FROM {parts} GROUP BY row_id)"
        if self._has_copies:
            count = "count(*) OVER (PARTITION BY content_id) AS copies"
            files["copies"] = f"(SELECT row_id, {count} FROM {read_parquet(folder.duplicates)})"
        return {self.prefix + name: rows for name, rows in files.items()}

    def _own(self, name: str, table: str, stored: str) -> SqlColumn:
        values = f"{table}.{stored}"
        kind = _kind(name)
        return SqlColumn(_own_column(name), finite(values) if kind == "number" else values)

    @property
    def _has_copies(self) -> bool:
        return bool(self.run.folder.duplicates.is_file())

    def _stages(self) -> list[Stage]:
        """Those that have parts."""
        return [stage for stage in OF_STAGE if self._first_part(stage) is not None]

    def _first_part(self, stage: Stage) -> UPath | None:
        folder = self.run.folder.stage(stage)
        return next(iter(folder.glob(PARTS)), None) if folder.is_dir() else None

    def _stored_columns(self, stage: Stage) -> list[str]:
        part = self._first_part(stage)
        return [] if part is None else list(open_parquet(part).schema.names)

    def _lists(self) -> Iterator[tuple[str, str, str]]:
        """Columns that hold lists: name, values and files."""
        folder = self.run.folder
        if folder.pattern_members.is_file():
            yield "patterns", "list(pattern ORDER BY pattern)", read_parquet(folder.pattern_members)
        failures = folder.stage(FAILURES)
        if failures.is_dir() and next(iter(failures.glob(f"*/{PARTS}")), None) is not None:
            parts = read_parquet(failures, f"*/{PARTS}")
            yield "failed", "list(DISTINCT stage ORDER BY stage)", parts


def _kind(name: str) -> Kind:
    if name in CATEGORIES:
        return "category"
    if name in TEXTS:
        return "text"
    return "list" if name in LISTS else "number"


def _own_column(name: str) -> Column:
    return Column(name, _kind(name.removeprefix(BEFORE)), describe(name), own=True)


def _of_before(stored: SqlColumn) -> SqlColumn:
    return SqlColumn(_own_column(BEFORE + stored.name), stored.values)


def _grouped(groups: schema.ClassGroups, values: str) -> str:
    names = ", ".join(
        f"{text_literal(name)}: {text_literal(group)}" for name, group in groups.group_of.items()
    )
    return f"MAP {{{names}}}[{values}]"


def _change(columns: Sequence[SqlColumn], alike: bool) -> list[SqlColumn]:
    """How an image differs from the run before: right or wrong, and flagged under the same rule."""
    values = {column.name: column.values for column in columns}
    correct, earlier = values.get("correct"), values.get(f"{BEFORE}correct")
    cases = []
    if correct is not None and earlier is not None:
        cases += [(f"{earlier} AND NOT {correct}", CHANGES[0])]
        cases += [(f"{correct} AND NOT {earlier}", CHANGES[1])]
    flag, earlier = values.get("flag"), values.get(f"{BEFORE}flag")
    if alike and flag is not None and earlier is not None:
        flagged = "= 'rests_on_background'"
        unflagged = "IN ('rests_on_object', 'mixed')"
        cases += [(f"{flag} {flagged} AND {earlier} {unflagged}", CHANGES[2])]
        cases += [(f"{flag} {unflagged} AND {earlier} {flagged}", CHANGES[3])]
    if not cases:
        return []
    found = ", ".join(f"CASE WHEN {case} THEN {text_literal(change)} END" for case, change in cases)
    changes = f"nullif(list_filter([{found}], lambda it: it IS NOT NULL), [])"
    return [SqlColumn(_own_column("change"), changes)]


def _users_column(field: pa.Field, values: str, taken: Collection[str]) -> SqlColumn:
    name = field.name or NAMELESS
    while name in taken:
        name = f"catalog.{name}"
    kind, whole = _kind_of_type(field.type), pa.types.is_integer(field.type)
    column = Column(name, kind, "from the table of the data", own=False, has_numbers=whole)
    most = MOST_NUMBERS if whole else {"text": MOST_WORDS}.get(kind, 0)
    return SqlColumn(column, _readable(field.type, values), most)


def _kind_of_type(data_type: pa.DataType) -> Kind:
    if pa.types.is_boolean(data_type):
        return "category"
    if pa.types.is_integer(data_type) or pa.types.is_floating(data_type):
        return "number"
    return "number" if pa.types.is_decimal(data_type) else "text"  # until its values are counted


def _readable(data_type: pa.DataType, values: str) -> str:
    if pa.types.is_floating(data_type):
        return finite(f"{values}::DOUBLE")
    if pa.types.is_decimal(data_type):
        return f"{values}::DOUBLE"
    if pa.types.is_boolean(data_type) or pa.types.is_integer(data_type):
        return values
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:  # else in the machine's zone
        return f"({values} AT TIME ZONE 'UTC')::VARCHAR || '+00'"
    return f"{values}::VARCHAR"
