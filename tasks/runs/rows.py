"""Single rows of a run: found by their number in the catalog, so that no other part is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.addresses import is_file
from models.errors import UserError, printable
from tasks import schema
from tasks.runs.reader import Run
from tasks.runs.stages import FAILURES, MAPS, PREDICTIONS, Stage
from tasks.storage.byte_cache import ByteCache
from tasks.storage.parquet import open_parquet, read_footer

KEPT = 64 << 20  # bytes of the parts that were read last

Row = dict[str, Any]  # a value by column


class UnknownRow(UserError):
    """A row id that the run does not have."""


def only_row(table: pa.Table | None) -> Row | None:
    """The values of a table of one row; None without a table."""
    return None if table is None else table.to_pylist()[0]


def _no_parts() -> ByteCache[pa.Table]:
    return ByteCache(KEPT, lambda table: int(table.nbytes))


@dataclass(frozen=True, eq=False)
class RunRows:
    """The rows of a run, one at a time. What locates them is read once; many threads may ask."""

    run: Run
    _parts: ByteCache[pa.Table] = field(default_factory=_no_parts, init=False)

    @cached_property
    def row_ids(self) -> pa.Array:
        """In the catalog's order."""
        return self.run.folder.open_catalog().read(["row_id"])["row_id"].combine_chunks()

    def has(self, row_id: str) -> bool:
        found: int = pc.index(self.row_ids, row_id).as_py()
        return found >= 0

    def number(self, row_id: str) -> int:
        """Its number in the catalog; refuses a row that is not there."""
        number: int = pc.index(self.row_ids, row_id).as_py()
        if number < 0:
            raise UnknownRow(
                f"run {self.run.folder.path} has no row {printable(row_id)}: take row ids from the "
                "column row_id of its table"
            )
        return number

    def shard_of(self, number: int) -> int:
        """The part of every stage that a row of the catalog is in."""
        return int(np.searchsorted(self.ends, number, side="right"))

    @cached_property
    def ends(self) -> np.ndarray:
        """The number of the first row after each shard; the catalog has a row group per shard."""
        sizes = [self._footer.row_group(n).num_rows for n in range(self._footer.num_row_groups)]
        return np.cumsum(sizes, dtype=np.int64)

    def row_ids_of(self, shard: int) -> pa.Array:
        start = int(self.ends[shard - 1]) if shard else 0
        return self.row_ids[start : int(self.ends[shard])]

    def numbers(self, shard: int, row_ids: pa.ChunkedArray) -> np.ndarray:
        """Of some rows of a shard, in the catalog."""
        here = self.row_ids_of(shard)
        start = int(self.ends[shard]) - len(here)
        number_n: np.ndarray = start + pc.index_in(row_ids, here).to_numpy().astype(np.int64)
        return number_n

    def catalog_row(self, row_id: str) -> pa.Table:
        """One row of the catalog, with the user's further columns."""
        number = self.number(row_id)
        shard = self.shard_of(number)
        rows = self._parts.get(("catalog", shard), lambda: self._read_catalog(shard))
        first = int(self.ends[shard]) - len(rows)
        return rows.slice(number - first, 1)

    def part_row(self, stage: Stage, row_id: str) -> pa.Table | None:
        """One row of a stage's part; None where the stage has nothing of this image."""
        part = self.part(stage, self.shard_of(self.number(row_id)))
        number = pc.index(part["row_id"], row_id).as_py()
        return None if number < 0 else part.slice(number, 1)

    def part(self, stage: Stage, shard: int) -> pa.Table:
        """A stage's part, empty where it is missing: of any stage but the large maps."""
        return self._parts.get((stage, shard), lambda: self._read_part(stage, shard))

    def flag_row(self, row_id: str) -> pa.Table | None:
        """One row of the flags table; None where the image was not predicted, or before the run is
        finished."""
        if not is_file(self.run.folder.flags):
            return None
        shard = self.shard_of(self.number(row_id))
        group = self._parts.get(("flags", shard), lambda: self._read_flags(shard))
        number = pc.index(group["row_id"], row_id).as_py()
        return None if number < 0 else group.slice(number, 1)

    def has_map(self, row_id: str, method: str) -> bool:
        return self._number_of_map(row_id, method) is not None

    def map_of(self, row_id: str, method: str) -> np.ndarray | None:
        """float32 (h, w) in its own units; None where the image has none."""
        number = self._number_of_map(row_id, method)
        if number is None:
            return None
        shard = self.shard_of(self.number(row_id))
        part = open_parquet(self.run.folder.part(MAPS.of(method), shard))
        row = part.read_row(number, ["map", "scale"])
        map_1hw = row["map"].combine_chunks().to_numpy_ndarray().astype(np.float32)
        map_hw: np.ndarray = map_1hw[0] * row["scale"].to_numpy()[0]
        return map_hw

    def failures(self, row_id: str) -> list[Row]:
        """Rows of schema.FAILURES, of every stage."""
        rows = (self.part_rows(stage, row_id) for stage in self._failing_stages)
        return [row for table in rows for row in table.to_pylist()]

    def part_rows(self, stage: Stage, row_id: str) -> pa.Table:
        """All rows of an image in a stage's part."""
        part = self.part(stage, self.shard_of(self.number(row_id)))
        return part.filter(pc.equal(part["row_id"], row_id))

    def _number_of_map(self, row_id: str, method: str) -> int | None:
        """In its part. Maps may be large: they are neither kept nor read for this."""
        shard = self.shard_of(self.number(row_id))
        stage = MAPS.of(method)
        row_ids = self._parts.get((stage, shard, "row_id"), lambda: self._read_ids(stage, shard))
        number: int = pc.index(row_ids["row_id"], row_id).as_py()
        return None if number < 0 else number

    @cached_property
    def _failing_stages(self) -> list[Stage]:
        folder = self.run.folder.stage(FAILURES)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [FAILURES.of(name) for name in names]

    @cached_property
    def _footer(self) -> pq.FileMetaData:
        return read_footer(self.run.folder.catalog)

    def _read_catalog(self, shard: int) -> pa.Table:
        catalog = open_parquet(self.run.folder.catalog, self._footer, schema.CATALOG)
        return catalog.read_row_group(shard)

    def _read_flags(self, shard: int) -> pa.Table:
        """One row per prediction, in a row group for each shard that has any."""
        flags = self.run.folder.open_flags()
        row_ids = self.part(PREDICTIONS, shard)["row_id"]
        if shard < flags.num_row_groups:
            group = flags.read_row_group(shard)
            if group["row_id"].equals(row_ids):
                return group
        return flags.read_rows(pc.field("row_id").isin(row_ids.combine_chunks()))

    def _read_ids(self, stage: Stage, shard: int) -> pa.Table:
        part = self.run.part(stage, shard, ["row_id"])
        return schema.CATALOG.empty_table().select(["row_id"]) if part is None else part

    def _read_part(self, stage: Stage, shard: int) -> pa.Table:
        assert stage.columns is not None
        part = self.run.part(stage, shard)
        return stage.columns.empty_table() if part is None else part
