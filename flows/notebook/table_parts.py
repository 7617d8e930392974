"""The files behind a run's tables, read one after the other. Shapes: N maps, h rows, w columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from upath import UPath

from flows.notebook.changed_pictures import changed_pictures
from flows.notebook.summary_tables import figure_table, group_table
from tasks import schema
from tasks.runs.reader import Run
from tasks.runs.stages import FAILURES, MAPS, Stage
from tasks.storage.parquet import open_parquet, read_table


@dataclass(frozen=True)
class Wanted:
    """What of a table is asked for: parts may have more columns."""

    columns: tuple[str, ...]
    methods: tuple[str, ...]


Parts = Callable[[Run, Wanted], Iterator[pa.Table]]


def of_stage(stage: Stage) -> Parts:
    """A table as a stage stores it."""

    def parts(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
        for path in run.folder.parts(stage):
            yield read_table(path, list(wanted.columns), expected=stage.columns)

    return parts


def by_method(stage: Stage) -> Parts:
    """A table as a stage stores it for each method, which a column names."""

    def parts(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
        stored = ["row_id", *(it for it in wanted.columns if it not in ("row_id", "method"))]
        for method in wanted.methods:
            for path in run.folder.parts(stage.of(method)):
                yield _repeat(read_table(path, stored, expected=stage.columns), method=method)

    return parts


def maps(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    """As lists of numbers in their own units: other libraries lose the shape of a tensor."""
    with_values = "map" in wanted.columns
    for method in wanted.methods:
        for path in run.folder.parts(MAPS.of(method)):
            file = open_parquet(path)
            height, width = file.schema.field("map").type.shape
            part = file.read(["row_id", "target", *(["map", "scale"] if with_values else [])])
            part = _as_lists(part) if with_values else part
            yield _repeat(part, method=method, height=height, width=width)


def interventions(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    yield changed_pictures(run)


def failures(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    for path in sorted(run.folder.stage(FAILURES).glob("*/part-*.parquet"), key=str):
        yield read_table(path, list(wanted.columns), expected=schema.FAILURES)


def patterns(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    return _of_file(run.folder.patterns, wanted, schema.PATTERNS)


def pattern_members(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    return _of_file(run.folder.pattern_members, wanted, schema.PATTERN_MEMBERS)


def groups(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    yield group_table(run)


def figures(run: Run, wanted: Wanted) -> Iterator[pa.Table]:
    yield figure_table(run)


def _of_file(path: UPath, wanted: Wanted, expected: pa.Schema) -> Iterator[pa.Table]:
    if path.is_file():
        yield read_table(path, list(wanted.columns), expected=expected)


def _as_lists(part: pa.Table) -> pa.Table:
    map_Nhw = part["map"].combine_chunks().to_numpy_ndarray().astype(np.float32)
    map_Nhw *= part["scale"].to_numpy()[:, None, None]
    starts = np.linspace(0, map_Nhw.size, len(part) + 1, dtype=np.int64)
    lists = pa.LargeListArray.from_arrays(starts, map_Nhw.ravel())
    return part.set_column(part.column_names.index("map"), "map", lists)


def _repeat(part: pa.Table, **values: str | int) -> pa.Table:
    """With columns that have one value in all rows."""
    for name, value in values.items():
        part = part.append_column(name, pa.repeat(pa.scalar(value), len(part)))
    return part
