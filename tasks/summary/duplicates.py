"""Pictures that occur more than once, byte for byte, and above all those with two labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.runs.reader import Run
from tasks.runs.stages import PREDICTIONS
from tasks.storage.parquet import write_table

SHOWN = 20  # pictures in the summary
COPIES = 5  # of each such picture
COLUMNS = ["content_id", "row_id", "label"]
_EMPTY = schema.DUPLICATES.empty_table().select(COLUMNS)


def write_duplicates(run: Run) -> schema.DuplicateSummary:
    """Write duplicates.parquet, pictures with several labels first, and return its summary."""
    copies = pa.concat_tables([_EMPTY, *_read_repeated(run)]).sort_by(
        [("content_id", "ascending"), ("row_id", "ascending")]
    )
    each = copies.group_by("content_id").aggregate(
        [("row_id", "count"), ("label", "count_distinct", pc.CountOptions(mode="only_valid"))]
    )
    each = each.filter(
        pc.greater(each["row_id_count"], 1)
    )  # drops hashes of which only half was equal
    index = pc.index_in(copies["content_id"], each["content_id"].combine_chunks())
    table = copies.append_column("labels", each["label_count_distinct"].take(index).cast("int32"))
    table = table.filter(pc.is_valid(table["labels"])).sort_by(
        [("labels", "descending"), ("content_id", "ascending"), ("row_id", "ascending")]
    )
    write_table(run.folder.duplicates, table.cast(schema.DUPLICATES))
    return schema.DuplicateSummary(
        pictures=len(each),
        rows=len(table),
        contradictions=pc.sum(pc.greater(each["label_count_distinct"], 1)).as_py() or 0,
        first=tuple(_first(table)),
    )


def _first(table: pa.Table) -> Iterator[tuple[schema.Copy, ...]]:
    """A few copies of each of the first pictures."""
    for picture in pc.unique(table["content_id"]).slice(0, SHOWN).to_pylist():
        copies = table.filter(pc.equal(table["content_id"], picture)).slice(0, COPIES)
        yield tuple(
            schema.Copy(row_id=row["row_id"], label=row["label"]) for row in copies.to_pylist()
        )


def _read_repeated(run: Run) -> Iterator[pa.Table]:
    """The rows whose hash occurs twice; only eight bytes per row are held in memory."""
    hashes = [_hashes(part) for part in _parts(run, COLUMNS[:1])]
    values, counts = np.unique(np.concatenate([*hashes, _hashes(None)]), return_counts=True)
    repeated = values[counts > 1]
    if len(repeated):
        for part in _parts(run, COLUMNS):
            copies = part.filter(pa.array(np.isin(_hashes(part), repeated)))
            yield copies.cast(_EMPTY.schema)


def _parts(run: Run, columns: list[str]) -> Iterator[pa.Table]:
    parts = (run.part(PREDICTIONS, shard, columns) for shard in run.shards)
    return (part for part in parts if part is not None)


def _hashes(part: pa.Table | None) -> np.ndarray:
    """The first 64 bits of each content hash; collisions are separated afterwards."""
    ids = [] if part is None else pc.utf8_slice_codeunits(part["content_id"], 0, 16).to_pylist()
    return np.array([int(digits, 16) for digits in ids], np.uint64)
