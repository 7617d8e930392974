"""Rows of a previous run that need no computing: same content, same specification.

Where a row's address, label and stamp are the same, nothing is read; else its bytes are hashed and
compared, which is still far from decoding and computing them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.addresses import as_path, write_atomically
from models.errors import UserError
from tasks import schema
from tasks.pictures.samples import Failure, Row, identify, rows_of
from tasks.runs.folder import (
    FINGERPRINT,
    SPECIFICATION,
    Mark,
    RunFolder,
    digest,
    read_metadata,
    read_part,
)
from tasks.runs.stages import PREDICTIONS, Stage
from tasks.storage.files import open_parquet, read_footer, read_table, stamps, tells


@dataclass
class ReusedRows:
    """What a shard takes from earlier runs, by stage; failures by the stage that keeps them."""

    parts: dict[Stage, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    done: dict[Stage, set[str]] = field(default_factory=lambda: defaultdict(set))  # rows
    failures: dict[Stage, list[Failure]] = field(default_factory=lambda: defaultdict(list))


def previous_run(address: str, run: RunFolder) -> RunFolder:
    """The run that rows are to be taken from; refuses what is none, or this one."""
    before = RunFolder(as_path(address))
    if before.path == run.path:
        raise UserError(f"--reuse {address} is the run itself, which continues anyway: drop it")
    before.read_state()
    return before


def plan_reuse(run: RunFolder, before: RunFolder, catalog: pa.Table, shard_size: int) -> None:
    """Write which shard of the previous run holds each row of the catalog, by its key."""
    footer = read_footer(before.catalog)
    sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    shards = pa.array(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    keys = read_table(before.catalog, columns=["row_id"])["row_id"].combine_chunks()
    found = shards.take(pc.index_in(catalog["row_id"].combine_chunks(), keys))
    plan = pa.table([found], schema=pa.schema([("shard", pa.int32())]))
    with write_atomically(run.reuse_plan) as file:
        pq.write_table(plan, file, row_group_size=shard_size)


def reuse_rows(
    run: RunFolder, previous: str | None, shard: int, rows: pa.Table, wanted: Mapping[Stage, Mark]
) -> ReusedRows:
    """The rows of a shard that are there as these marks want them.

    In the run's own parts first: those lack only what failed for a while. Then in a previous run.
    """
    taken = ReusedRows()
    own = _take(taken, _Shard(run, shard, rows), rows, wanted)
    if previous is not None:
        before = RunFolder(as_path(previous))
        left = rows.filter(pc.invert(pc.is_in(rows["row_id"], pa.array(sorted(own), pa.string()))))
        plan = dict(zip(rows["row_id"].to_pylist(), _plan(run, shard), strict=True))
        groups = np.array([plan[row_id] for row_id in left["row_id"].to_pylist()], float)
        for group in np.unique(groups[~np.isnan(groups)]).astype(int).tolist():
            mine = left.filter(pa.array(groups == group))
            _take(taken, _Shard(before, group, _catalog(before, group)), mine, wanted)
    return taken


@dataclass(frozen=True)
class _Shard:
    """A shard of an earlier run, or of an earlier try of this one."""

    run: RunFolder
    number: int
    catalog: pa.Table

    def is_current(self, stage: Stage, specification: str | None = None) -> bool:
        """Is this part of this specification, and of the rows that the catalog has now?"""
        marks = read_metadata(self.run.part(stage, self.number))
        found = marks.get(SPECIFICATION, b"").decode()
        if not found or specification not in (None, found):
            return False
        return marks.get(FINGERPRINT, b"").decode() == digest(found, self.rows)

    @cached_property
    def rows(self) -> str:
        return digest(self.catalog.to_pydict())

    def part(self, stage: Stage, columns: list[str] | None = None) -> pa.Table:
        part = read_part(self.run.part(stage, self.number), columns)
        assert part is not None
        return part

    def failures(self, stage: Stage) -> list[Failure]:
        part = read_part(self.run.part(stage, self.number))
        return [Failure(**row) for row in part.to_pylist()] if part else []


def _take(
    taken: ReusedRows, shard: _Shard, rows: pa.Table, wanted: Mapping[Stage, Mark]
) -> set[str]:
    """Add what the shard holds of these rows; returns the rows that are the same there."""
    found = [stage for stage, mark in wanted.items() if shard.is_current(stage, mark.specification)]
    if not found:
        return set()
    kept = dict.fromkeys(stage.failures for stage in (PREDICTIONS, *found))
    failures = {folder: shard.failures(folder) for folder in kept if folder is not None}
    again = {f.row_id for known in failures.values() for f in known if f.kind == "transient"}
    same = _find_unchanged(shard, rows) - again
    ids = pa.array(sorted(same), pa.string())
    for stage in found:
        part = shard.part(stage)
        taken.parts[stage].append(part.filter(pc.is_in(part["row_id"], ids)))
        taken.done[stage] |= same  # a row that is absent there has a failure that stays
        folder = stage.failures
        if folder is not None:
            taken.failures[folder] += [f for f in failures[folder] if f.row_id in same]
    return same


def _find_unchanged(shard: _Shard, rows: pa.Table) -> set[str]:
    """Keys of the rows that are what they were."""
    known = {row["row_id"]: row for row in shard.catalog.to_pylist()}
    same, unsure = set(), []
    for row in rows.to_pylist():
        if row == known[row["row_id"]] and (tells(row["stamp"]) or rows is shard.catalog):
            same.add(row["row_id"])
        elif row["label"] == known[row["row_id"]]["label"]:
            unsure.append(row["row_id"])
    if unsure and shard.is_current(PREDICTIONS):
        wanted = pa.array(unsure, pa.string())
        same |= _of_same_content(shard, rows.filter(pc.is_in(rows["row_id"], wanted)))
    return same


def _of_same_content(shard: _Shard, rows: pa.Table) -> set[str]:
    """Keys of rows that lie elsewhere now, or were touched, and hold the bytes that they held."""
    predicted = shard.part(PREDICTIONS, ["row_id", "content_id", "foreground_id"])
    known = {tuple(row.values()) for row in predicted.to_pylist()}
    return {row.row_id for row in rows_of(rows) if _identity(row) in known}


def _identity(row: Row) -> tuple[str, str | None, str | None]:
    try:
        return row.row_id, *identify(row)
    except OSError:  # away: the computing will tell
        return row.row_id, None, None


def _plan(run: RunFolder, shard: int) -> list[int | None]:
    found: list[int | None] = (
        open_parquet(run.reuse_plan).read_row_group(shard)["shard"].to_pylist()
    )
    return found


def _catalog(before: RunFolder, group: int) -> pa.Table:
    return _read_catalog(before, group, *stamps([str(before.catalog)]))


@lru_cache(maxsize=8)
def _read_catalog(before: RunFolder, group: int, _: str) -> pa.Table:
    """The previous run's rows of one shard; neighbours of the new run ask for the same."""
    return open_parquet(before.catalog).read_row_group(group, columns=schema.CATALOG.names)
