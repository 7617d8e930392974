"""Pictures that are there more than once, byte for byte; above all those with two labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import schema
from tasks.places import writing
from tasks.reader import Run

SHOWN = 20  # pictures in the summary
COLUMNS = ["content_id", "row_id", "label"]


def write_duplicates(run: Run) -> schema.DuplicateSummary:
    """Write duplicates.parquet, pictures with several labels first, and return what it holds."""
    rows: dict[str, list[schema.Copy]] = defaultdict(list)
    for part in _repeated(run):
        for row in part.to_pylist():
            rows[row["content_id"]].append(schema.Copy(row_id=row["row_id"], label=row["label"]))
    pictures = {picture: copies for picture, copies in rows.items() if len(copies) > 1}
    order = sorted(pictures, key=lambda picture: (-_labels(pictures[picture]), picture))
    table = [
        {"content_id": picture, **copy.model_dump(), "labels": _labels(pictures[picture])}
        for picture in order
        for copy in pictures[picture]
    ]
    with writing(run.folder.duplicates) as file:
        pq.write_table(pa.Table.from_pylist(table, schema=schema.DUPLICATES), file)
    return schema.DuplicateSummary(
        pictures=len(pictures),
        rows=len(table),
        contradictions=sum(_labels(copies) > 1 for copies in pictures.values()),
        first=tuple(tuple(pictures[picture]) for picture in order[:SHOWN]),
    )


def _repeated(run: Run) -> Iterator[pa.Table]:
    """The rows whose hash stands twice. Of all the others eight bytes are held, and no more."""
    hashes = [_hashes(part) for part in _parts(run, COLUMNS[:1])]
    values, counts = np.unique(np.concatenate([*hashes, _hashes(None)]), return_counts=True)
    twice = values[counts > 1]
    if len(twice):
        for part in _parts(run, COLUMNS):
            yield part.filter(pa.array(np.isin(_hashes(part), twice)))


def _parts(run: Run, columns: list[str]) -> Iterator[pa.Table]:
    parts = (run.part("predictions", shard, columns) for shard in run.shards)
    return (part for part in parts if part is not None)


def _hashes(part: pa.Table | None) -> np.ndarray:
    """The first 64 bits of each content's hash: two that collide are told apart afterwards."""
    ids = [] if part is None else pc.utf8_slice_codeunits(part["content_id"], 0, 16).to_pylist()
    return np.array([int(digits, 16) for digits in ids], np.uint64)


def _labels(copies: list[schema.Copy]) -> int:
    """How many different labels the copies of a picture have."""
    return len({copy.label for copy in copies} - {None})
