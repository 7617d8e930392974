"""Rows of a previous run that need no computing: same content, same specification.

Where a row's address, label and stamp are the same, nothing is read; else its bytes are hashed and
compared, which is much cheaper than decoding and computing them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import as_path
from models.errors import UserError
from tasks import schema
from tasks.attribution.job import Job
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Failure, identify
from tasks.runs.folder import (
    FINGERPRINT,
    SPECIFICATION,
    Mark,
    RunFolder,
    digest,
    read_metadata,
)
from tasks.runs.stages import FAILED_PREDICTIONS, PREDICTIONS, Stage
from tasks.storage.files import detects_change, read_stamps
from tasks.storage.parquet import is_intact, open_parquet, read_footer, write_table

log = logging.getLogger("sightline")


@dataclass
class ReusedRows:
    """What a shard reuses of earlier runs, by stage; failures by the stage that keeps them."""

    parts: dict[Stage, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    done: dict[Stage, set[str]] = field(default_factory=lambda: defaultdict(set))  # rows
    failures: dict[Stage, list[Failure]] = field(default_factory=lambda: defaultdict(list))


def previous_run(address: str, run: RunFolder) -> RunFolder:
    """The run to reuse rows of; refuses a folder that is not a run, and this run itself."""
    before = RunFolder(as_path(address))
    if before.path == run.path:
        raise UserError(f"--reuse {address} is the run itself, which continues anyway: drop it")
    before.read_state()
    return before


def plan_reuse(run: RunFolder, before: RunFolder, catalog: pa.Table, shard_size: int) -> None:
    """Write which shard of the previous run contains each row of the catalog, by its key."""
    footer = read_footer(before.catalog)
    sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    shards = pa.array(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    keys = before.open_catalog().read(["row_id"])["row_id"].combine_chunks()
    sources = shards.take(pc.index_in(catalog["row_id"].combine_chunks(), keys))
    plan = pa.table([sources], schema=pa.schema([("shard", pa.int32())]))
    write_table(run.reuse_plan, plan, shard_size)


def reuse_rows(
    job: Job, shard: int, rows: pa.Table, missing: Mapping[Stage, Mark], is_new: bool
) -> ReusedRows:
    """The rows of a shard that exist already with the specifications of these marks.

    First from the run's own parts, which lack only transient failures, then from a previous run.
    """
    reused, run = ReusedRows(), job.run
    done = set() if is_new else _take(reused, _Shard(run, shard, rows), rows, missing)
    if job.reuse is not None:
        before = RunFolder(as_path(job.reuse))
        left = rows.filter(pc.invert(pc.is_in(rows["row_id"], pa.array(sorted(done), pa.string()))))
        plan = dict(zip(rows["row_id"].to_pylist(), _read_plan(run, shard), strict=True))
        groups = np.array([plan[row_id] for row_id in left["row_id"].to_pylist()], float)
        for group in np.unique(groups[~np.isnan(groups)]).astype(int).tolist():
            of_group = left.filter(pa.array(groups == group))
            _take(reused, _Shard(before, group, _read_catalog(before, group)), of_group, missing)
    return reused


@dataclass(frozen=True)
class _Shard:
    """A shard of an earlier run, or of an earlier try of this one."""

    run: RunFolder
    number: int
    catalog: pa.Table

    def is_usable(self, stage: Stage, specification: str) -> bool:
        """Is this part current, and can it and its failures be read?"""
        failures = stage.failures
        is_current = self.is_current(stage, specification)
        return is_current and (failures is None or self.is_readable(failures))

    def is_readable(self, stage: Stage) -> bool:
        """Is its part intact, or missing?"""
        path = self.run.part(stage, self.number)
        readable = not path.exists() or is_intact(path)
        if not readable:
            log.warning("%s is damaged: what it held is computed again", path)
        return readable

    def is_current(self, stage: Stage, specification: str | None = None) -> bool:
        """Is this part intact, with this specification and the rows that its catalog has now?"""
        path = self.run.part(stage, self.number)
        if not (path.exists() and self.is_readable(stage)):
            return False
        metadata = read_metadata(path)
        actual = metadata.get(SPECIFICATION, b"").decode()
        if not actual or specification not in (None, actual):
            return False
        return metadata.get(FINGERPRINT, b"").decode() == digest(actual, self.rows_digest)

    @cached_property
    def rows_digest(self) -> str:
        return digest(self.catalog.to_pydict())

    def part(self, stage: Stage, columns: list[str] | None = None) -> pa.Table:
        part = self.run.read_part(stage, self.number, columns)
        assert part is not None
        return part

    def failures(self, stage: Stage) -> list[Failure]:
        part = self.run.read_part(stage, self.number)
        return [Failure(**row) for row in part.to_pylist()] if part else []


def _take(
    reused: ReusedRows, shard: _Shard, rows: pa.Table, missing: Mapping[Stage, Mark]
) -> set[str]:
    """Add what the shard has of these rows; returns the rows that are the same there."""
    stages = [s for s, mark in missing.items() if shard.is_usable(s, mark.specification)]
    if not stages or not shard.is_readable(FAILED_PREDICTIONS):
        return set()
    folders = dict.fromkeys(stage.failures for stage in (PREDICTIONS, *stages))
    failures = {folder: shard.failures(folder) for folder in folders if folder is not None}
    transient = {f.row_id for group in failures.values() for f in group if f.kind == "transient"}
    same = _find_unchanged(shard, rows) - transient
    ids = pa.array(sorted(same), pa.string())
    for stage in stages:
        part = shard.part(stage)
        reused.parts[stage].append(part.filter(pc.is_in(part["row_id"], ids)))
        reused.done[stage] |= same  # a row without a result there has a permanent failure
        folder = stage.failures
        if folder is not None:
            reused.failures[folder] += [f for f in failures[folder] if f.row_id in same]
    return same


def _find_unchanged(shard: _Shard, rows: pa.Table) -> set[str]:
    """Keys of the rows that did not change."""
    earlier = {row["row_id"]: row for row in shard.catalog.to_pylist()}
    same, unsure = set(), []
    for row in rows.to_pylist():
        if row == earlier[row["row_id"]] and (
            detects_change(row["stamp"]) or rows is shard.catalog
        ):
            same.add(row["row_id"])
        elif row["label"] == earlier[row["row_id"]]["label"]:
            unsure.append(row["row_id"])
    if unsure and shard.is_current(PREDICTIONS):
        ids = pa.array(unsure, pa.string())
        same |= _find_same_content(shard, rows.filter(pc.is_in(rows["row_id"], ids)))
    return same


def _find_same_content(shard: _Shard, rows: pa.Table) -> set[str]:
    """Keys of rows whose file moved or was touched, and has the same bytes as before."""
    predicted = shard.part(PREDICTIONS, ["row_id", "content_id", "foreground_id"])
    earlier = {tuple(row.values()) for row in predicted.to_pylist()}
    return {row.row_id for row in rows_of(rows) if _identify(row) in earlier}


def _identify(row: Row) -> tuple[str, str | None, str | None]:
    try:
        return row.row_id, *identify(row)
    except OSError:  # unreadable: the shard will report it
        return row.row_id, None, None


def _read_plan(run: RunFolder, shard: int) -> list[int | None]:
    plan = open_parquet(run.reuse_plan).read_row_group(shard)
    shards: list[int | None] = plan["shard"].to_pylist()
    return shards


def _read_catalog(before: RunFolder, group: int) -> pa.Table:
    return _read_stamped_catalog(before, group, *read_stamps([str(before.catalog)]))


@lru_cache(maxsize=8)
def _read_stamped_catalog(before: RunFolder, group: int, _: str) -> pa.Table:
    """The previous run's rows of one shard, which several shards of the new run may need."""
    return before.open_catalog().read_row_group(group, columns=schema.CATALOG.names)
