"""A run of many images, made from a finished one: its shards again and again under new row ids.

Every part is written as an audit writes it, so that readers do all their work; the pictures are
those of the finished run. Scores and confidences get a little noise, for orders without ties.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from tasks.attribution.fingerprints import digest_catalog
from tasks.runs.folder import SPECIFICATION, Mark, RunFolder, digest, read_metadata, write_part
from tasks.runs.reader import Run
from tasks.runs.stages import (
    ATTENDED_BACKGROUND,
    FEATURES,
    INTERVENTIONS,
    MAPS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    SCORES,
    Stage,
)
from tasks.schema import CATALOG
from tasks.storage.parquet import open_writer, read_table, write_table

NOISE = 0.01
KEYS = ("row_id", "key")  # a column of the user's that row ids are taken from is called so
NOISY = ("score", "confidence")
KEPT_FILES = (
    "run.json",
    "summary.json",
    "donors.parquet",
    "patterns.parquet",
    "pattern_spaces.parquet",
)


def enlarge_run(source: Run, folder: Path, images: int) -> Run:
    """At least so many images, in whole copies of the finished run."""
    copies = math.ceil(images / len(source.catalog))
    target = RunFolder.at(folder)
    folder.mkdir(parents=True)
    for name in KEPT_FILES:
        if (source.folder.path / name).is_file():
            shutil.copy(str(source.folder.path / name), folder / name)
    by_shard = source.state.identity.shard_size  # rows of a group: as the audit writes them
    _write_whole(source.folder.catalog, target.catalog, copies, by_shard)
    _write_whole(source.folder.flags, target.flags, copies, by_shard)
    if source.folder.pattern_members.is_file():
        _write_whole(source.folder.pattern_members, target.pattern_members, copies, None)
    method, rows = source.summary().rule.method, _digests_of_rows(target)
    for stage in (PREDICTIONS, FEATURES, INTERVENTIONS, PICTURE_PROPERTIES):
        _write_parts(source, target, stage, copies, rows)
    for stage in (MAPS.of(method), SCORES.of(method), ATTENDED_BACKGROUND.of(method)):
        _write_parts(source, target, stage, copies, rows)
    enlarged = Run.at(folder)
    name = digest_catalog(enlarged.catalog, by_shard)
    identity = source.state.identity.model_copy(update={"catalog": name})
    target.update_state(identity=identity)
    return Run.at(folder)


def _write_whole(source: UPath, target: UPath, copies: int, rows_per_group: int | None) -> None:
    table = read_table(source)
    if rows_per_group is None:
        write_table(target, pa.concat_tables(_copies(table, copies)))
        return
    shards = [table.slice(at, rows_per_group) for at in range(0, len(table), rows_per_group)]
    with open_writer(target, table.schema) as write:
        for copy in range(copies):
            for shard in shards:
                write(_renamed(shard, copy), row_group_size=rows_per_group)


def _digests_of_rows(folder: RunFolder) -> list[str]:
    """Of each shard: a part's fingerprint says of which rows it is."""
    catalog = folder.open_catalog()
    groups = range(catalog.num_row_groups)
    return [digest(catalog.read_row_group(n, CATALOG.names).to_pydict()) for n in groups]


def _write_parts(
    source: Run, target: RunFolder, stage: Stage, copies: int, rows: Sequence[str]
) -> None:
    shards = len(source.shards)
    target.stage(stage).mkdir(parents=True)
    for shard in source.shards:
        part = source.part(stage, shard)
        if part is not None:
            metadata = read_metadata(source.folder.part(stage, shard))
            specification = metadata[SPECIFICATION].decode()  # by which rows are used again
            for copy in range(copies):
                number = copy * shards + shard
                mark = Mark(specification, digest(specification, rows[number]))
                write_part(target.part(stage, number), _renamed(part, copy), mark)


def new_row_id(copy: int, row_id: str) -> str:
    """Of an image's copy."""
    return f"{copy:05}/{row_id}"


def _copies(table: pa.Table, copies: int) -> Iterator[pa.Table]:
    return (_renamed(table, copy) for copy in range(copies))


def _renamed(table: pa.Table, copy: int) -> pa.Table:
    """With row ids of this copy, and noise."""
    row_ids = pc.binary_join_element_wise(
        new_row_id(copy, ""), table["row_id"].cast(pa.string()), ""
    )
    table = _with(table, "row_id", row_ids)
    random = np.random.default_rng(copy)
    for name in NOISY:
        if name in table.column_names and len(table):
            noise = pa.array(random.uniform(-NOISE, NOISE, len(table)), pa.float32())
            table = _with(table, name, pc.add(table[name], noise))
    return table


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, table.schema.field(name), values)
