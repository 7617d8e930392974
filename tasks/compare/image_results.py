"""The results of each image of one run, shard by shard.

Shapes: B images and E exchanges of a shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from tasks import schema
from tasks.flags.sure_estimates import least_confidence_of, sure_rows
from tasks.interventions.foreground_areas import LARGEST, SMALLEST
from tasks.runs.reader import Run, join
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS, SCORES
from tasks.storage.parquet import damage, open_parquet

KEYS = ("row_id", "label")
OF_EXCHANGES = frozenset({"kept_label", *schema.INTERVENTIONS.names[1:]})
OF_KEPT_LABEL = ("row_id", "same_class", "exchanged_predictions")


def read_images(run: Run, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The columns of each image with a prediction: one table per shard, empty where there is none.

    Columns are those of the predictions, the flags and the interventions, `kept_label`, `group`
    (the catalog's group column), and `column:method` of a method's scores. Dictionaries are
    decoded: those of two runs differ.
    """
    predicted = [name for name in schema.PREDICTIONS.names if name in {*KEYS, *columns}]
    flagged = [name for name in columns if _is_flag_column(name)]
    exchanged = [name for name in columns if name in OF_EXCHANGES]
    scored = [name for name in columns if ":" in name]
    flags = _ShardRows.read(run.folder.flags, flagged, schema.FLAGS_TABLE)
    groups = _read_groups(run) if "group" in columns else None
    least = least_confidence_of(run) if exchanged or scored else 0.0
    number = 0  # of the shard among those with predictions: one row group of the flags each
    for shard in run.shards:
        table = run.part(PREDICTIONS, shard, predicted)
        if table is None:
            table = schema.PREDICTIONS.empty_table()
            shard_flags = schema.FLAGS_TABLE.empty_table()
        else:
            shard_flags = flags.of(number)
            if len(shard_flags) != len(table):
                raise damage(run.folder.flags, "its rows are not those of the predictions")
            number += 1
        for name in flagged:
            table = table.append_column(name, shard_flags[name])
        if groups is not None:
            table = join(table, groups.of(shard))
        elif "group" in columns:
            table = table.append_column("group", pa.nulls(len(table), pa.string()))
        if exchanged:
            exchanges = _read_exchanges(run, shard, table, exchanged, least)
            table = join(table, exchanges.select(["row_id", *exchanged]))
        for name in scored:
            table = join(table, _read_scores(run, shard, name, least))
        yield _decode_words(table.select(list(columns)))


@dataclass(frozen=True)
class _ShardRows:
    """Columns of a file that has a row group for each shard; its footer is large and not kept."""

    file: UPath
    rows: pa.Table
    starts: Sequence[int]  # of the groups, and the end of the last

    @classmethod
    def read(cls, file: UPath, columns: Sequence[str], expected: pa.Schema) -> _ShardRows:
        reader = open_parquet(file, expected=expected)
        rows = reader.read(list(columns)).unify_dictionaries().combine_chunks()
        return cls(file, rows, [*accumulate(reader.rows_of_groups, initial=0)])

    def of(self, group: int) -> pa.Table:
        if group + 1 >= len(self.starts):
            raise damage(self.file, "it lacks rows")
        start, end = self.starts[group : group + 2]
        return self.rows.slice(start, end - start)


def _is_flag_column(column: str) -> bool:
    return (
        column in schema.FLAGS_TABLE.names
        and column not in schema.PREDICTIONS.names
        and column not in OF_EXCHANGES
    )


def group_column_of(run: Run) -> str | None:
    """The column of the catalog that names each image's group; None where there is none."""
    name, columns = run.state.group_column, open_parquet(run.folder.catalog).schema
    if name is None or name not in columns.names:
        return None
    return None if pa.types.is_nested(columns.field(name).type) else name


def _read_groups(run: Run) -> _ShardRows | None:
    """The catalog's group column, as `group`; None where there is none."""
    name = group_column_of(run)
    if name is None:
        return None
    found = _ShardRows.read(run.folder.catalog, ["row_id", name], schema.CATALOG)
    words = found.rows[name].cast(pa.string())
    return replace(found, rows=pa.table({"row_id": found.rows["row_id"], "group": words}))


def _read_exchanges(
    run: Run, shard: int, table: pa.Table, columns: Sequence[str], least: float
) -> pa.Table:
    """Interventions and `kept_label`: how often other classes' backgrounds keep the label."""
    names = {*OF_KEPT_LABEL, *columns} - {"kept_label"}
    part = run.part(INTERVENTIONS, shard, sorted(names))
    if part is None:
        part = schema.INTERVENTIONS.empty_table()
    part = sure_rows(run, shard, part, least)
    labels = join(part.select(["row_id"]), table.select(["row_id", "label"]))["label"]
    return part.append_column("kept_label", _kept_label(part, labels))


def _kept_label(table: pa.Table, labels: pa.ChunkedArray) -> pa.Array:
    """Null without a label, and without a donor of another class."""
    predicted = table["exchanged_predictions"].combine_chunks()
    image_E = pc.list_parent_indices(predicted).to_numpy()
    other_E = ~np.array(pc.list_flatten(table["same_class"].combine_chunks()), dtype=bool)
    names = labels.cast(pa.string()).combine_chunks()
    right_E = pc.equal(pc.list_flatten(predicted), names.take(pa.array(image_E)))
    right_E = pc.fill_null(right_E, False).to_numpy(zero_copy_only=False)
    count_B = np.bincount(image_E[other_E], minlength=len(table))
    kept_B = np.bincount(image_E[other_E], right_E[other_E].astype(float), len(table))
    unknown_B = (count_B == 0) | names.is_null().to_numpy(zero_copy_only=False)
    return pa.array(kept_B / np.maximum(count_B, 1), mask=unknown_B)


def _read_scores(run: Run, shard: int, column: str, least: float) -> pa.Table:
    """A method's scores, of foregrounds that are sure, neither too small nor too large, as in the
    summary."""
    name, _, method = column.partition(":")
    scores = run.part(SCORES.of(method), shard, list({"row_id", "area", name}))
    if scores is None:
        scores = schema.SCORES.empty_table()
    area = scores["area"]
    decidable = pc.and_(pc.greater_equal(area, SMALLEST), pc.less_equal(area, LARGEST))
    kept = sure_rows(run, shard, scores.filter(decidable), least)
    return pa.table({"row_id": kept["row_id"], column: kept[name]})


def _decode_words(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table[field.name].cast(pa.string()))
    return table
