"""What a page asks of the table of images: rows in order, counts by value, histograms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.query.column_codes import BinCodes, Chosen, ValueCodes, read_bins, read_values
from tasks.query.columns import Column, Kind
from tasks.query.database import ImageDatabase
from tasks.query.filters import Filter, HasValue, find_column
from tasks.runs.rows import UnknownRow
from tasks.storage.byte_cache import ByteCache

MOST_SHOWN = 50  # values of a column
KEPT = 32 << 20  # bytes of the filters, of the orders and of the views that were asked last
ALL = 0  # of the columns' codes, which are all kept
SHOWN = (  # of an image in the grid
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


CATALOG_ORDER = Sorting()


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
    """Questions to the table of images; safe to ask from many threads.

    DuckDB says which images meet a filter, and how a column orders them; the latest are kept.
    """

    database: ImageDatabase
    _chosen: ByteCache[Chosen] = field(default_factory=lambda: ByteCache(KEPT, _bytes))
    _orders: ByteCache[Rows] = field(default_factory=lambda: ByteCache(KEPT, _bytes))
    _views: ByteCache[Rows] = field(default_factory=lambda: ByteCache(KEPT, _bytes))
    _values: ByteCache[ValueCodes] = field(default_factory=lambda: ByteCache(ALL, _no_bytes))
    _bins: ByteCache[BinCodes] = field(default_factory=lambda: ByteCache(ALL, _no_bytes))

    def prepare(self) -> None:
        """Read the codes of every column, which the first counts would wait for."""
        for column in self.database.columns.values():
            if column.kind == "number":
                self.histograms(Filter(), [column.name])
            elif column.kind != "text":
                self.facets(Filter(), [column.name])

    def count(self, chosen: Filter) -> int:
        return int(self.chosen(chosen).sum())

    def chosen(self, chosen: Filter) -> Chosen:
        """Of each image of the catalog: does it meet the filter?"""
        return self._chosen.get(chosen, lambda: self._read_chosen(chosen))

    def row_numbers(self, chosen: Filter, sorting: Sorting = CATALOG_ORDER) -> Rows:
        """All rows of a view in its order."""

        def read() -> Rows:
            order_N = self._orders.get(sorting, lambda: self._read_order(sorting))
            return order_N[self.chosen(chosen)[order_N]]

        return self._views.get((chosen, sorting), read)

    def page(
        self, chosen: Filter, sorting: Sorting, offset: int, limit: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """The number of images in a view, and those of one page as the grid shows them: with nulls
        for columns that the run lacks."""
        numbers = self.row_numbers(chosen, sorting)
        names = [name for name in SHOWN if name in self.database.columns]
        page = numbers[offset : offset + limit].tolist()
        rows = self.rows(page, names, sorting.column)
        return len(numbers), [dict.fromkeys(SHOWN) | row for row in rows]

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
        where = self.database.sql_names.where(chosen)
        columns = ", ".join(f"{self.database.names[name]} AS {name}" for name in SELECTED)
        sql = f"SELECT {columns} FROM images WHERE {where.sql} ORDER BY {self._order_by(sorting)}"
        return self.database.arrow(sql, where.parameters)

    def row_ids(self) -> pa.ChunkedArray:
        """Of all images, in the catalog's order."""
        name = self.database.names["row_id"]
        return self.database.arrow(f"SELECT {name} FROM images ORDER BY row").column(0)

    def row_number(self, row_id: str) -> int:
        """Of the catalog; refuses an image that is not in the run."""
        name = self.database.names["row_id"]
        found = self.database.query(f"SELECT row FROM images WHERE {name} = ?", [row_id]).fetchone()
        if found is None:
            raise UnknownRow(f"there is no image {row_id!r} in this run")
        return int(found[0])

    def facets(self, chosen: Filter, names: Sequence[str], find: str = "") -> dict[str, Facet]:
        """The counts of each column's values, among images that meet the other conditions.

        With `find`, only of values that contain it, whatever the case.
        """
        return {name: self._facet(chosen, name, find.lower()) for name in names}

    def histograms(self, chosen: Filter, names: Sequence[str]) -> dict[str, Histogram]:
        """The same of numbers, in bins."""
        return {name: self._histogram(chosen, self._column(name, "number").name) for name in names}

    def values(self, name: str) -> ValueCodes:
        """The codes of a category, or of a list."""
        name = self._column(name, "category", "list").name
        return self._values.get(name, lambda: read_values(self.database, name))

    def bins(self, name: str) -> BinCodes:
        """The codes of a column of numbers."""
        name = self._column(name, "number").name
        return self._bins.get(name, lambda: read_bins(self.database, name))

    def _facet(self, chosen: Filter, name: str, find: str) -> Facet:
        codes = self.values(name)
        found = codes.counts(self.chosen(chosen.without(name)))
        counts = {it: images for it, images in found.items() if find in (it or "").lower()}
        ordered = sorted(counts, key=lambda it: (-counts[it], it is None, it or ""))
        wanted = set() if find else _chosen_values(chosen, name)
        shown = [it for at, it in enumerate(ordered) if at < MOST_SHOWN or it in wanted]
        absent = sorted(wanted - counts.keys(), key=str)
        values = (FacetValue(it, counts.get(it, 0)) for it in (*shown, *absent))
        return Facet(tuple(values), len(ordered) - len(shown))

    def _histogram(self, chosen: Filter, name: str) -> Histogram:
        codes = self.bins(name)
        everything, _ = codes.counts()
        counts, missing = codes.counts(self.chosen(chosen.without(name)))
        return Histogram(codes.low, codes.high, everything, counts, missing)

    def _read_chosen(self, chosen: Filter) -> Chosen:
        where = self.database.sql_names.where(chosen)
        found = self.database.query(f"SELECT row FROM images WHERE {where.sql}", where.parameters)
        chosen_N = np.zeros(self.database.rows, bool)
        chosen_N[np.asarray(found.fetchnumpy()["row"], np.int64)] = True
        return chosen_N

    def _read_order(self, sorting: Sorting) -> Rows:
        sql = f"SELECT row FROM images ORDER BY {self._order_by(sorting)}"
        return np.asarray(self.database.query(sql).fetchnumpy()["row"], np.int32)

    def _order_by(self, sorting: Sorting) -> str:
        if sorting.column is None:
            return "row" if sorting.order == "asc" else "row DESC"
        name = self.database.names[self._column(sorting.column).name]
        return f"{name} {sorting.order.upper()} NULLS LAST, row"

    def _column(self, name: str, *kinds: Kind) -> Column:
        return find_column(self.database.columns, name, *kinds)


def _bytes(array: np.ndarray) -> int:
    return array.nbytes


def _no_bytes(_: object) -> int:
    return 0


def _chosen_values(chosen: Filter, column: str) -> set[str | None]:
    conditions = (it for it in chosen.conditions if isinstance(it, HasValue))
    return {value for it in conditions if it.column == column for value in it.values}
