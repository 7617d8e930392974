"""The images that are exported: a run's table of images and their files, a shard at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import pyarrow as pa

from models.errors import UserError, list_names, suggest
from tasks.pictures.rows import ROW, Row, rows_of
from tasks.query.columns import Column
from tasks.query.database import ImageDatabase
from tasks.query.filters import Filter
from tasks.runs.reader import Run
from tasks.runs.stages import MAPS
from tasks.storage.parquet import read_footer

AT_ONCE = 1 << 16  # rows that are read from the table, or those of one shard

Maps = dict[str, np.ndarray]  # float32 (h, w) by row_id, at most 1


@dataclass(frozen=True)
class Shard:
    """The exported images of one shard, in the catalog's order."""

    run: Run
    number: int
    numbers: list[int]  # of each image in the catalog
    table: pa.Table  # of images

    @property
    def row_ids(self) -> list[str]:
        row_ids: list[str] = self.table["row_id"].to_pylist()
        return row_ids

    def rows(self) -> list[Row]:
        """What is needed to read each image's files."""
        catalog = self.run.folder.open_catalog().read_row_group(self.number, ROW)
        by_id = {row.row_id: row for row in rows_of(catalog)}
        return [by_id[row_id] for row_id in self.row_ids]

    def maps(self, method: str) -> Maps:
        """The magnitude of each map, divided by its largest; images without one are left out."""
        part = self.run.part(MAPS.of(method), self.number)
        if part is None or not len(part):
            return {}
        map_Nhw = np.abs(part["map"].combine_chunks().to_numpy_ndarray().astype(np.float32))
        return dict(zip(part["row_id"].to_pylist(), map_Nhw, strict=True))


@dataclass(frozen=True)
class Selection:
    """The images of a run that meet a filter."""

    run: Run
    database: ImageDatabase
    chosen: Filter

    @classmethod
    def of(cls, run: Run, database: ImageDatabase, chosen: Filter) -> Selection:
        """Refuses a filter that leaves nothing."""
        selection = cls(run, database, chosen)
        if "prediction" not in database.columns:
            raise UserError(f"run {run.folder.path} has no predictions yet")
        if not selection.total:
            raise UserError(
                f"no image of {run.folder.path} meets the filter: give another --filter"
            )
        return selection

    @property
    def columns(self) -> list[Column]:
        return list(self.database.columns.values())

    @cached_property
    def total(self) -> int:
        return self.count("true")

    @cached_property
    def schema(self) -> pa.Schema:
        """The types of the columns, each described in its metadata."""
        empty = self._read("false")[1]
        return pa.schema(
            [
                field.with_metadata({"description": column.words, "kind": column.kind})
                for field, column in zip(empty.schema, self.columns, strict=True)
            ]
        )

    def count(self, condition: str) -> int:
        """How many of the images meet a condition in SQL."""
        where = self.database.sql_names.where(self.chosen)
        sql = f"SELECT count(*) FROM images WHERE ({where.sql}) AND ({condition})"
        row = self.database.query(sql, where.parameters).fetchone()
        assert row is not None
        return int(row[0])

    def shards(self) -> Iterator[Shard]:
        """Those with at least one of the images; many are read at once, since each question
        unpacks rows around those that it asks for."""
        footer = read_footer(self.run.folder.catalog)
        sizes = (footer.row_group(it).num_rows for it in range(footer.num_row_groups))
        ends = [*accumulate(sizes, initial=0)]  # of each shard, after the first one's start
        for first, last in _spans(ends):
            numbers, table = self._read(f"row >= {ends[first]} AND row < {ends[last]}")
            limits = np.searchsorted(numbers, ends[first : last + 1]).tolist()
            for shard, (start, end) in enumerate(pairwise(limits), first):
                if start < end:
                    part = table.slice(start, end - start)
                    yield Shard(self.run, shard, numbers[start:end], part)

    def _read(self, condition: str) -> tuple[list[int], pa.Table]:
        """Numbers in the catalog, and the table of images."""
        where = self.database.sql_names.where(self.chosen)
        names = [self.database.names[column.name] for column in self.columns]
        table = self.database.arrow(
            f"SELECT row, {', '.join(names)} FROM images WHERE ({where.sql}) AND ({condition}) "
            "ORDER BY row",
            where.parameters,
        )
        chosen = table.drop_columns(["row"]).rename_columns([it.name for it in self.columns])
        return table["row"].to_pylist(), chosen


def _spans(ends: list[int]) -> Iterator[tuple[int, int]]:
    """First and last + 1 of as many shards as are read at once."""
    first, shards = 0, len(ends) - 1
    while first < shards:
        last = max(first + 1, bisect_right(ends, ends[first] + AT_ONCE) - 1)
        yield first, last
        first = last


def main_method(run: Run, method: str | None) -> str | None:
    """The method that is asked for, else the flags'; None for a run without maps."""
    methods = run.methods
    if method is not None and method not in methods:
        raise UserError(
            f"run {run.folder.path} has no maps of {method!r}{suggest(method, methods)}; "
            f"it has {list_names(methods)}"
        )
    if method is None and run.folder.summary.is_file() and not run.compares_methods:
        method = run.summary().rule.method
    return method or next(iter(methods), None)
