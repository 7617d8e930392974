"""The first rows of a table as texts, to see what its columns hold; nothing more is read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 200
LONGEST_LINE = 1 << 20  # characters

Row = Mapping[str, object]


def read_first_rows(path: Path) -> list[Row]:
    """At most 200 rows; none where the file is not what its name says."""
    try:
        return list(islice(READERS[path.suffix.lower()](path), ROWS))
    except (OSError, ValueError, csv.Error, pa.ArrowException):
        return []


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey="")
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        yield from reader


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        while line := file.readline(LONGEST_LINE):
            row = json.loads(line)
            if isinstance(row, dict):
                yield row


def _read_parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            yield from batch.to_pylist()


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
