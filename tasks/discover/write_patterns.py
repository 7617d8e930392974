"""The files of the patterns: candidates, members, and how images of other runs are assigned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import schema
from tasks.discover.candidates import Candidate
from tasks.discover.clusters import Clusters
from tasks.discover.groupings import Divided, KnownClusters
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.schema import Pattern
from tasks.storage.parquet import open_writer, write_table


def write_patterns(
    run: RunFolder,
    divided: Divided,
    patterns: Sequence[Pattern],
    candidates: Sequence[Candidate],
    known: KnownClusters,
) -> None:
    """Patterns and candidates in the same order."""
    rows = [_row(pattern) for pattern in patterns]
    write_table(run.patterns, pa.Table.from_pylist(rows, schema=schema.PATTERNS))
    spaces = [*_spaces(divided, patterns, candidates, known)]
    write_table(run.pattern_spaces, pa.Table.from_pylist(spaces, schema=schema.PATTERN_SPACES))
    with open_writer(run.pattern_members, schema.PATTERN_MEMBERS) as write:
        for table in _members(run, divided, patterns, candidates):
            write(table)


def _row(pattern: Pattern) -> dict[str, Any]:
    row = {name: getattr(pattern, name, None) for name in schema.PATTERNS.names}
    effect, rates = pattern.effect, (pattern.on_pattern, pattern.on_others)
    on_pattern, on_others = (None if rate is None else rate.value for rate in rates)
    return row | {
        "pattern": pattern.id,
        "effect": effect and effect.value,
        "effect_low": effect and effect.low,
        "effect_high": effect and effect.high,
        "on_pattern": on_pattern,
        "on_others": on_others,
    }


def _members(
    run: RunFolder, divided: Divided, patterns: Sequence[Pattern], candidates: Sequence[Candidate]
) -> Iterator[pa.Table]:
    """Of each shard one table, which becomes a row group; an image may belong to several."""
    opened = open_run(run.path)
    members = [it.member_N for it in candidates]
    for shard, start in divided.start_of_shard.items():
        table = opened.part(PREDICTIONS, shard, ["row_id"])
        assert table is not None
        inside = slice(start, start + len(table))
        half_n = np.where(divided.facts.proposes_N[inside], "proposes", "confirms")
        found = [schema.PATTERN_MEMBERS.empty_table()]
        for pattern, candidate, member_N in zip(patterns, candidates, members, strict=True):
            rows = np.flatnonzero(member_N[inside])
            columns = [
                table["row_id"].take(pa.array(rows)),
                pa.array([pattern.id] * len(rows), pa.string()),
                pa.array(candidate.grouping.distance_N[inside][rows]),
                pa.array(half_n[rows], pa.string()),
            ]
            found.append(pa.table(columns, schema=schema.PATTERN_MEMBERS))
        yield pa.concat_tables(found)


def _spaces(
    divided: Divided,
    patterns: Sequence[Pattern],
    candidates: Sequence[Candidate],
    known: KnownClusters,
) -> Iterator[Mapping[str, Any]]:
    """Those of this run, and those of patterns that only clusters of an earlier one have."""
    for space, clusters in divided.clusters.items():
        yield _space(space, clusters, None)
    for pattern, candidate in zip(patterns, candidates, strict=True):
        for (space, clusters), grouping in zip(known, divided.by_known, strict=True):
            if candidate.grouping is grouping:
                yield _space(space, clusters, pattern.id)


def _space(name: str, clusters: Clusters, pattern: str | None) -> Mapping[str, Any]:
    projection = clusters.projection
    return {
        "space": name,
        "scaling": projection.scaling,
        "mean": projection.mean_F.tolist(),
        "deviation": projection.deviation_F.tolist(),
        "basis": projection.basis_FP.tolist(),
        "centres": clusters.centre_LP.tolist(),
        "reach": clusters.reach_L.tolist(),
        "pattern": pattern,
    }
