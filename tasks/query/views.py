"""What a page asks of the table of images: rows in order, counts by value, histograms."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.query.columns import Column
from tasks.query.database import ImageDatabase
from tasks.query.filters import Filter, HasValue, Where, find_column
from tasks.runs.rows import UnknownRow

BINS = 40  # of a histogram
MOST_SHOWN = 50  # values of a column
ORDERS_KEPT = 8  # of the latest filters and sortings; 4 bytes an image each
SHOWN = (  # of an image in the grid, where the run has them
    *("row_id", "label", "prediction", "correct", "flag", "score", "confidence", "failed"),
    "change",
)

SELECTED = ("row_id", "image", "label", "mask")  # what `--data` reads of a selection

Order = Literal["asc", "desc"]
Rows = NDArray[np.int32]  # numbers of catalog rows


@dataclass(frozen=True)
class Sorting:
    """By a column, missing values last, and by the catalog among equals; else by the catalog."""

    column: str | None = None
    order: Order = "asc"


@dataclass(frozen=True)
class FacetValue:
    value: str | None  # None: missing
    count: int


@dataclass(frozen=True)
class Facet:
    """The counts of a column's values, the most frequent first."""

    values: tuple[FacetValue, ...]
    more: int  # further values


@dataclass(frozen=True)
class Histogram:
    """Counts between the column's lowest and highest value, in bins of one width."""

    low: float | None  # None where no image has a value
    high: float | None
    all: tuple[int, ...]
    chosen: tuple[int, ...]
    missing: int  # of the chosen


@dataclass(frozen=True)
class Views:
    """Questions to the table of images; safe to ask from many threads."""

    database: ImageDatabase
    _orders: OrderedDict[tuple[Filter, Sorting], Rows] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, chosen: Filter) -> int:
        where = self._where(chosen)
        return int(self._one(f"SELECT count(*) FROM images WHERE {where.sql}", where)[0])

    def row_numbers(self, chosen: Filter, sorting: Sorting = Sorting()) -> Rows:
        """All rows of a view in its order; the latest views are kept."""
        key = (chosen, sorting)
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        where = self._where(chosen)
        sql = f"SELECT row FROM images WHERE {where.sql} ORDER BY {self._order_by(sorting)}"
        found = self.database.query(sql, where.parameters).fetchnumpy()["row"]
        rows: Rows = np.asarray(found, np.int32)
        with self._lock:
            self._orders[key] = rows
            while len(self._orders) > ORDERS_KEPT:
                self._orders.popitem(last=False)
        return rows

    def page(
        self, chosen: Filter, sorting: Sorting, offset: int, limit: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """The number of images in a view, and those of one page as the grid shows them."""
        numbers = self.row_numbers(chosen, sorting)
        names = [name for name in SHOWN if name in self.database.columns]
        page = numbers[offset : offset + limit].tolist()
        rows = self.rows(page, names, sorting.column)
        return len(numbers), rows

    def rows(
        self, numbers: Sequence[int], names: Iterable[str], value: str | None = None
    ) -> list[dict[str, Any]]:
        """Columns of these rows, in this order; those of `value` are called so."""
        chosen = {name: self.database.names[name] for name in names}
        if value is not None:
            chosen["value"] = self.database.names[value]
        columns = ", ".join(("row", *chosen.values()))
        sql = f"SELECT {columns} FROM images WHERE row IN (SELECT unnest(?::INTEGER[]))"
        found = {row[0]: row[1:] for row in self.database.query(sql, [list(numbers)]).fetchall()}
        return [
            {"row": number, **dict(zip(chosen, found[number], strict=True))} for number in numbers
        ]

    def selection(self, chosen: Filter, sorting: Sorting) -> pa.Table:
        """All images of a view in its order, as a table that `--data` takes."""
        where = self._where(chosen)
        columns = ", ".join(f"{self.database.names[name]} AS {name}" for name in SELECTED)
        sql = f"SELECT {columns} FROM images WHERE {where.sql} ORDER BY {self._order_by(sorting)}"
        return self.database.arrow(sql, where.parameters)

    def row_number(self, row_id: str) -> int:
        """Of the catalog; refuses an image that is not in the run."""
        name = self.database.names["row_id"]
        found = self.database.query(f"SELECT row FROM images WHERE {name} = ?", [row_id]).fetchone()
        if found is None:
            raise UnknownRow(f"there is no image {row_id!r} in this run")
        return int(found[0])

    def facets(self, chosen: Filter, names: Sequence[str]) -> dict[str, Facet]:
        """The counts of each column's values, among images that meet the other conditions."""
        return {name: self._facet(chosen, self._column(name)) for name in names}

    def histograms(self, chosen: Filter, names: Sequence[str]) -> dict[str, Histogram]:
        """The same of numbers, in bins."""
        return {name: self._histogram(chosen, self._column(name)) for name in names}

    def _facet(self, chosen: Filter, column: Column) -> Facet:
        name = self.database.names[column.name]
        where = self._where(chosen.without(column.name))
        values = f"unnest(coalesce({name}, [NULL]))" if column.kind == "list" else name
        counts = (
            f"SELECT value, count(*) AS images FROM (SELECT ({values})::VARCHAR AS value "
            f"FROM images WHERE {where.sql}) GROUP BY value ORDER BY images DESC, value NULLS LAST"
        )
        found = self.database.query(counts, where.parameters).fetchall()
        wanted = _chosen_values(chosen, column.name)
        first, others = found[:MOST_SHOWN], found[MOST_SHOWN:]
        first += [row for row in others if row[0] in wanted]
        shown = {value for value, _ in first}
        none = [(value, 0) for value in sorted(wanted - shown, key=str)]
        values_shown = (FacetValue(value, count) for value, count in (*first, *none))
        return Facet(tuple(values_shown), len(found) - len(first))

    def _histogram(self, chosen: Filter, column: Column) -> Histogram:
        low, high = self._ends.get(column.name, (None, None))
        name = self.database.names[column.name]
        where = self._where(chosen.without(column.name))
        if low is None or high is None:
            missing = self._one(f"SELECT count(*) FROM images WHERE {where.sql}", where)[0]
            return Histogram(None, None, (0,) * BINS, (0,) * BINS, int(missing))
        everything = self._all_bins.setdefault(
            column.name, self._bins(name, low, high, Where("true", ()))[0]
        )
        counts, missing = self._bins(name, low, high, where)
        return Histogram(low, high, everything, counts, missing)

    def _bins(
        self, name: str, low: float, high: float, where: Where
    ) -> tuple[tuple[int, ...], int]:
        width = (high - low) or 1.0
        index = f"floor(({name} - {low!r}) / {width!r} * {BINS})"
        bin_of = f"CASE WHEN {name} IS NOT NULL THEN least({BINS - 1}, {index})::INTEGER END"
        sql = f"SELECT {bin_of} AS bin, count(*) FROM images WHERE {where.sql} GROUP BY bin"
        found = dict(self.database.query(sql, where.parameters).fetchall())
        return tuple(int(found.get(it, 0)) for it in range(BINS)), int(found.get(None, 0))

    @cached_property
    def _ends(self) -> dict[str, tuple[float, float]]:
        """The lowest and highest value of each column of numbers."""
        numbers = [it.name for it in self.database.columns.values() if it.kind == "number"]
        if not numbers:
            return {}
        names = [self.database.names[name] for name in numbers]
        ends = ", ".join(f"min({name})::DOUBLE, max({name})::DOUBLE" for name in names)
        found = self._one(f"SELECT {ends} FROM images", Where("true", ()))
        pairs = zip(numbers, found[::2], found[1::2], strict=True)
        return {name: (low, high) for name, low, high in pairs if low is not None}

    @cached_property
    def _all_bins(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _order_by(self, sorting: Sorting) -> str:
        if sorting.column is None:
            return "row" if sorting.order == "asc" else "row DESC"
        name = self.database.names[self._column(sorting.column).name]
        return f"{name} {sorting.order.upper()} NULLS LAST, row"

    def _column(self, name: str) -> Column:
        return find_column(self.database.columns, name)

    def _where(self, chosen: Filter) -> Where:
        return self.database.sql_names.where(chosen)

    def _one(self, sql: str, where: Where) -> tuple[Any, ...]:
        row = self.database.query(sql, where.parameters).fetchone()
        assert row is not None
        return tuple(row)


def _chosen_values(chosen: Filter, column: str) -> set[str | None]:
    conditions = (it for it in chosen.conditions if isinstance(it, HasValue))
    return {value for it in conditions if it.column == column for value in it.values}
