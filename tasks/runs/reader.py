"""Reading a run: predictions joined with scores, and maps by row, scaled and enlarged."""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError
from upath import UPath

from models.addresses import is_file
from models.errors import DamagedFile, UserError, list_names, suggest
from tasks import schema
from tasks.runs.folder import RunFolder
from tasks.runs.stages import MAPS, PREDICTIONS, SCORES, Stage
from tasks.runs.state import RunState
from tasks.storage.parquet import open_parquet, read_footer, read_table

Summary = TypeVar("Summary", bound=BaseModel)

FLAG_COLUMNS = ["row_id", "flag", "score", "reason"]  # that stand in the table of a run
NEIGHBOURS = 1000  # row ids among which the nearest is searched: among a million it takes a minute


@dataclass(frozen=True)
class Run:
    """A run folder, to read."""

    folder: RunFolder
    state: RunState

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """The run in a folder; refuses one that is not a run folder."""
        folder = RunFolder.at(path)
        return cls(folder, folder.read_state())

    @cached_property
    def catalog(self) -> pa.Table:
        return self.folder.open_catalog().read()

    @property
    def methods(self) -> list[str]:
        """Attribution methods that have maps."""
        folder = self.folder.stage(MAPS)
        paths = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in paths if path.is_dir())

    @property
    def shards(self) -> range:
        return range(read_footer(self.folder.catalog).num_row_groups)

    def summary(self) -> schema.Summary:
        return self._read(self.folder.summary, schema.Summary)

    @property
    def compares_methods(self) -> bool:
        """Does this run compare methods instead of auditing a model?"""
        return "comparison" in self.state.settings

    def methods_summary(self) -> schema.MethodsSummary:
        """The figures of a comparison of methods."""
        return self._read(self.folder.methods, schema.MethodsSummary)

    def part(
        self, stage: Stage | str, shard: int, columns: list[str] | None = None
    ) -> pa.Table | None:
        """One part as it was written, or None where it is missing."""
        return self.folder.read_part(stage, shard, columns)

    def table(self, method: str | None = None) -> pa.Table:
        """Predictions, flags and their scores, a method's figures and the catalog: one row per
        prediction, in catalog order.

        A user's column that has the name of one of ours is called `catalog.<name>`. The flags of a
        run are there once it is finished; a comparison of methods has none.
        """
        self.check_method(method)
        flags = self._flags()
        tables = [self._join(shard, method, flags) for shard in self.shards]
        predicted = [table for table in tables if table is not None]
        if not predicted:
            raise UserError(f"run {self.folder.path} has no predictions yet")
        return pa.concat_tables(predicted)

    def maps(
        self, row_ids: Sequence[str], method: str, size: tuple[int, int] | None = None
    ) -> dict[str, np.ndarray]:
        """float32 maps by row, in their own units; rows without a map are left out."""
        self.check_method(method)
        self.check_rows(row_ids)
        maps = {}
        chosen = pc.field("row_id").isin(pa.array(list(row_ids), pa.string()))
        for shard in self.shards_of(row_ids):
            part = self.part(MAPS.of(method), shard)
            if part is not None:
                maps.update(_scale(part.filter(chosen)))
        if size is not None:
            maps = {row_id: enlarge(map_hw, size) for row_id, map_hw in maps.items()}
        return maps

    def _read(self, path: UPath, kind: type[Summary]) -> Summary:
        if not is_file(path):
            raise UserError(
                f"{self.folder.path} is not finished (no {path.name}): "
                "run the same command again, it continues"
            )
        try:
            return kind.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DamagedFile(
                f"{path} is damaged, or was written by another version of Sightline: "
                "run the same command again, it computes no part twice"
            ) from error

    def _flags(self) -> pa.Table | None:
        """The flag of each image, its score and its reason; None before the run is finished."""
        if not is_file(self.folder.flags):
            return None
        return read_table(self.folder.flags, FLAG_COLUMNS)

    def _join(self, shard: int, method: str | None, flags: pa.Table | None) -> pa.Table | None:
        predictions = self.part(PREDICTIONS, shard)
        if predictions is None:
            return None
        scores = None if method is None else self.part(SCORES.of(method), shard)
        joined = predictions
        for table in (flags, scores):
            joined = joined if table is None else join(joined, table)
        rows = self.folder.open_catalog().read_row_group(shard).drop_columns(["label"])
        ours = set(joined.column_names) - {"row_id"}
        names = [f"catalog.{name}" if name in ours else name for name in rows.column_names]
        return join(joined, rows.rename_columns(names))

    def shards_of(self, row_ids: Sequence[str]) -> list[int]:
        """Those that have one of these rows."""
        catalog = open_parquet(self.folder.catalog, expected=schema.CATALOG)
        ends = [*accumulate(catalog.rows_of_groups)]
        chosen = pc.is_in(catalog.read(["row_id"])["row_id"], pa.array(list(row_ids), pa.string()))
        rows = np.flatnonzero(chosen.to_numpy())
        shards: list[int] = np.unique(np.searchsorted(ends, rows, side="right")).tolist()
        return shards

    def check_method(self, method: str | None) -> None:
        """Refuse a method that this run has no maps of."""
        if method is not None and method not in self.methods:
            raise UserError(
                f"run {self.folder.path} has no maps of {method!r}{suggest(method, self.methods)}; "
                f"it has {list_names(self.methods)}"
            )

    def check_rows(self, row_ids: Sequence[str]) -> None:
        """Refuse rows that this run has not, with the nearest that it has."""
        all_ids = read_table(self.folder.catalog, ["row_id"], expected=schema.CATALOG)["row_id"]
        named = pc.is_in(all_ids, pa.array(list(row_ids), pa.string()))
        unknown = sorted(set(row_ids) - set(all_ids.filter(named).to_pylist()))
        if unknown:
            known = sorted(all_ids.to_pylist())
            here = bisect(known, unknown[0])
            near = known[max(0, here - NEIGHBOURS // 2) : here + NEIGHBOURS // 2]
            raise UserError(
                f"run {self.folder.path} has no row {list_names(unknown, most=1)}"
                f"{suggest(unknown[0], near)}: take row ids from the column row_id of its table"
            )


def enlarge(map_hw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, to the rows and columns of a picture."""
    import torch  # takes seconds to import, and tables do not need it
    from torch.nn import functional

    tensor_11hw = torch.from_numpy(map_hw)[None, None]
    enlarged: np.ndarray = functional.interpolate(
        tensor_11hw, size, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    return enlarged


def _scale(part: pa.Table) -> dict[str, np.ndarray]:
    maps = part["map"].combine_chunks().to_numpy_ndarray().astype(np.float32)
    scales = part["scale"].to_numpy()[:, None, None]
    return dict(zip(part["row_id"].to_pylist(), maps * scales, strict=True))


def join(left: pa.Table, right: pa.Table) -> pa.Table:
    """Left outer join on row_id that keeps the left's order and accepts columns of any type."""
    index = pc.index_in(left["row_id"], right["row_id"].combine_chunks())
    for name in right.column_names:
        if name != "row_id":
            left = left.append_column(name, right[name].take(index))
    return left
