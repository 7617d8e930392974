"""Rows of a previous run that need no computing: same content, same specification.

Where a row's address, label and stamp are the same, nothing is read; else its bytes are hashed and
compared, which is still far from decoding and computing them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.mistakes import Mistake
from tasks import schema
from tasks.places import open_parquet, place, read_footer, read_table, writing
from tasks.read import Failure, Row, identify
from tasks.shard import rows_of
from tasks.store import SPECIFICATION, Mark, RunFolder, failures_beside, read_metadata, read_part

PLAN = "reuse.parquet"  # for each row of the catalog, the previous run's shard that holds its key


class ReuseMistake(Mistake):
    """A previous run that nothing can be taken from."""


@dataclass
class Taken:
    """What a shard takes from the previous run, by stage."""

    parts: dict[str, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    done: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # rows
    failures: list[Failure] = field(default_factory=list)


def plan_reuse(run: RunFolder, previous: str) -> None:
    """Write which shard of the previous run holds each row of the catalog, by its key."""
    before = RunFolder(place(previous))
    if before.path == run.path:
        raise ReuseMistake(f"--reuse {previous} is the run itself, which continues anyway: drop it")
    before.read_state()  # refuses what is no run
    run.update_state(reuse=str(before.path))
    footer = read_footer(before.catalog)
    sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    shards = pa.array(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    known = read_table(before.catalog, columns=["row_id"])["row_id"].combine_chunks()
    catalog = open_parquet(run.catalog)
    columns = pa.schema([("shard", pa.int32())])
    with writing(run.path / PLAN) as file, pq.ParquetWriter(file, columns) as writer:
        for group in range(catalog.num_row_groups):
            keys = catalog.read_row_group(group, columns=["row_id"])["row_id"]
            found = pc.index_in(keys, known).combine_chunks()
            writer.write_table(pa.table([shards.take(found)], schema=columns))


def take_rows(
    run: RunFolder, previous: str, shard: int, rows: pa.Table, wanted: Mapping[str, Mark]
) -> Taken:
    """The rows of a shard that the previous run holds as these marks want them."""
    taken = Taken()
    before = RunFolder(place(previous))
    plan = open_parquet(run.path / PLAN).read_row_group(shard)["shard"].to_numpy()
    for group in np.unique(plan[~np.isnan(plan)]).astype(int).tolist():
        mine = rows.filter(pa.array(plan == group))
        same = _unchanged(before, group, mine)
        if same:
            _take(before, group, same, wanted, taken)
    return taken


def _unchanged(before: RunFolder, group: int, rows: pa.Table) -> set[str]:
    """Keys of the rows that are what they were, of those that were not to be tried again."""
    known = {row["row_id"]: row for row in _catalog(before, group).to_pylist()}
    again = {failure.row_id for failure in _failures(before, group) if failure.kind == "transient"}
    same, changed = set(), []
    for row in rows.to_pylist():
        if row == known[row["row_id"]]:
            same.add(row["row_id"])
        elif row["label"] == known[row["row_id"]]["label"]:
            changed.append(row["row_id"])
    if changed:
        wanted = pa.array(changed, pa.string())
        same |= _of_same_content(before, group, rows.filter(pc.is_in(rows["row_id"], wanted)))
    return same - again


def _of_same_content(before: RunFolder, group: int, rows: pa.Table) -> set[str]:
    """Keys of rows that lie elsewhere now, or were touched, and hold the bytes that they held."""
    columns = ["row_id", "content_id", "foreground_id"]
    predicted = read_part(before.part("predictions", group), columns)
    known = {tuple(row.values()) for row in predicted.to_pylist()} if predicted else set()
    return {row.row_id for row in rows_of(rows) if _identity(row) in known}


def _identity(row: Row) -> tuple[str, str | None, str | None]:
    try:
        return row.row_id, *identify(row)
    except OSError:  # away: the computing will tell
        return row.row_id, None, None


def _take(
    before: RunFolder, group: int, same: set[str], wanted: Mapping[str, Mark], taken: Taken
) -> None:
    ids = pa.array(sorted(same), pa.string())
    found = [
        stage
        for stage, mark in wanted.items()
        if read_metadata(before.part(stage, group)).get(SPECIFICATION)
        == mark.specification.encode()
    ]
    for stage in found:
        part = read_part(before.part(stage, group))
        assert part is not None
        taken.parts[stage].append(part.filter(pc.is_in(part["row_id"], ids)))
        taken.done[stage] |= same  # a row that is absent there has a failure that stays
    folders = filter(None, map(failures_beside, found))
    taken.failures += [
        failure
        for folder in folders
        for failure in _failures(before, group, folder)
        if failure.row_id in same
    ]


@lru_cache(maxsize=8)
def _catalog(before: RunFolder, group: int) -> pa.Table:
    """The previous run's rows of one shard; neighbours of the new run ask for the same."""
    return open_parquet(before.catalog).read_row_group(group, columns=schema.CATALOG.names)


def _failures(before: RunFolder, group: int, folder: str = "predictions") -> list[Failure]:
    part = read_part(before.part(f"failures/{folder}", group))
    return [Failure(**row) for row in part.to_pylist()] if part else []
