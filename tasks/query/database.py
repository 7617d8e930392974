"""The table of images in DuckDB, inside the process: read once, then locked.

After the table is read, DuckDB can open no other file and no address, and nothing can be
configured. Few questions are answered from the run's files, without ever copying the table.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import pyarrow as pa

from models.addresses import is_local
from models.errors import DamagedFile, UserError
from tasks.query.columns import Column
from tasks.query.connection import Database
from tasks.query.filters import Space, SqlNames, name_columns
from tasks.query.image_sql import ImageSql, SqlColumn, image_sql
from tasks.query.kept_table import (
    ROWS,
    describe_origin,
    find_kept,
    is_large,
    is_worth_keeping,
    keep_table,
)
from tasks.runs.reader import Run
from tasks.storage.parquet import read_footer

DAMAGED = (duckdb.InvalidInputException, duckdb.SerializationException, duckdb.IOException)


@dataclass
class ImageDatabase:
    """The table of images of a run, or of two; safe to query from many threads."""

    run: Run
    database: Database
    columns: Mapping[str, Column]
    names: Mapping[str, str]  # of each column in the database: a name that is nobody's
    rows: int
    origin: bytes | None  # what it was read from, by which it may be kept
    files: ImageSql | None = None  # where the table is left in its files
    coordinates: dict[Space, tuple[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sql_names(self) -> SqlNames:
        return SqlNames(self.columns, self.names, self.coordinates)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement in a cursor of its own."""
        return self._cursor().execute(sql, list(parameters))

    def arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        with _as_damage(self.run):
            relation = self._cursor().sql(sql, params=list(parameters))
            return relation.to_arrow_table()

    def images(self, sql: str) -> str:
        """What an expression is asked of: the table, or the files of the columns in it alone."""
        return _images(self.names, self.files, sql)

    def add_coordinates(self, table: pa.Table, spaces: Sequence[Space]) -> None:
        """The plot's coordinates by `row_id`, as columns."""
        with self._lock:
            if self.coordinates or not spaces:
                return
            found: dict[Space, tuple[str, str]] = {it: (f"{it}_x", f"{it}_y") for it in spaces}
            chosen = ", ".join(f"plot.{x}, plot.{y}" for x, y in found.values())
            cursor = self._cursor()
            cursor.register("plot", table)
            cursor.execute(
                f"CREATE OR REPLACE TABLE images AS SELECT images.*, {chosen} FROM images "
                f"LEFT JOIN plot ON plot.row_id = images.{self.names['row_id']} ORDER BY images.row"
            )
            cursor.close()
            self.coordinates.update(found)

    def keep(self, run: Run) -> None:
        """In the folder of a large, finished run: the next opening reads one file.

        As it was when it was read: what has changed since is not what this table has.
        """
        if self.origin is None or not is_worth_keeping(run, self.origin, self.rows):
            return
        columns = ", ".join(("row", *self.names.values()))
        relation = self._cursor().sql(f"SELECT {columns} FROM images")
        keep_table(run, self.origin, relation.to_arrow_reader(ROWS))

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        return self.database.connection.cursor()


def open_images(run: Run, before: Run | None = None, *, copied: bool = True) -> ImageDatabase:
    """Copy the table of images into a database (of a large run, one in a file) and lock that; or
    leave it in its files, of which each question reads the columns that it needs."""
    found, runs = image_sql(run, before), [run] if before is None else [run, before]
    names = {column.name: f"c{number}" for number, column in enumerate(found.columns)}
    origin = describe_origin(run, found) if before is None else None  # before any part is read
    images = sum(read_footer(it.folder.catalog).num_rows for it in runs)
    database = Database.in_file() if copied and is_large(images) else Database.in_memory()
    connection, kind = database.connection, "TABLE" if copied else "VIEW"
    files: ImageSql | None = None
    if not _read_kept(database, run, origin, kind, images):
        _read(database, f"CREATE {kind} images AS {found.select(names)}", runs, images)
        files = None if copied else found
    if copied:
        connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    with _as_damage(run):
        columns = name_columns(_with_kinds(connection, found.columns, names, files))
        rows = _one(connection, f"SELECT count(*) FROM {_images(names, files, '')}")
    return ImageDatabase(run, database, columns, names, rows, origin, files)


def image_table(
    run: Run, before: Run | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """One row per image, in the catalog's order; some columns, or all."""
    found = image_sql(run, before)
    present = [column.name for column in found.columns]
    unknown = sorted(set(columns or ()) - set(present))
    if unknown:
        raise UserError(f"there is no column {unknown[0]!r}; there are {', '.join(present)}")
    kept = present if columns is None else list(columns)
    names = {name: f"c{number}" for number, name in enumerate(kept)}
    database, runs = Database.in_memory(), [run] if before is None else [run, before]
    _read(database, f"CREATE TABLE images AS {found.select(names)}", runs, 0)
    chosen = f"SELECT {', '.join(names.values())} FROM images ORDER BY row"
    table = database.connection.sql(chosen).to_arrow_table()
    return table.rename_columns(kept)


def _read_kept(database: Database, run: Run, origin: bytes | None, kind: str, images: int) -> bool:
    """Read the table that an earlier opening kept; False where there is none that can be read."""
    kept = find_kept(run, origin)
    if kept is None:
        return False
    try:
        _read(database, f"CREATE {kind} images AS {kept}", [run], images)
    except DamagedFile:
        return False
    return True


def _read(database: Database, create: str, runs: Sequence[Run], images: int) -> None:
    for run in runs:
        if not is_local(run.folder.path):
            database.connection.register_filesystem(run.folder.path.fs)
    with _as_damage(runs[0]):
        database.fill(create, images)


def _images(names: Mapping[str, str], files: ImageSql | None, sql: str) -> str:
    """Each file that is joined takes memory for all images, whether or not it is asked for."""
    if files is None:
        return "images"
    asked = {it: name for it, name in names.items() if re.search(rf"\b{name}\b", sql)}
    return f"({files.select(asked)})"


@contextmanager
def _as_damage(run: Run) -> Iterator[None]:
    """What DuckDB says of broken bytes: its plain Error is that of the library that parses them;
    its other kinds are of wrong SQL."""
    try:
        yield
    except duckdb.Error as error:
        if type(error) is not duckdb.Error and not isinstance(error, DAMAGED):
            raise
        raise DamagedFile(
            f"a file of {run.folder.path} cannot be read ({str(error).splitlines()[0]}): run "
            "the command that wrote it again, it computes what is missing"
        ) from error


def _with_kinds(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[SqlColumn],
    names: Mapping[str, str],
    files: ImageSql | None,
) -> list[Column]:
    """The user's columns of few values are categories."""
    asked = [it for it in columns if it.most_values]
    if not asked:
        return [it.column for it in columns]
    counts = ", ".join(f"approx_count_distinct({names[it.name]})" for it in asked)
    distinct = (
        connection.cursor()
        .execute(f"SELECT {counts} FROM {_images(names, files, counts)}")
        .fetchone()
    )
    assert distinct is not None
    few = {it.name for it, count in zip(asked, distinct, strict=True) if count <= it.most_values}
    return [replace(it.column, kind="category") if it.name in few else it.column for it in columns]


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.cursor().execute(sql).fetchone()
    assert row is not None
    return int(row[0])
