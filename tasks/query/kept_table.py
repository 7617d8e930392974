"""The table of images of a large run, kept in the run's folder once somebody has opened it.

A run has a file for each stage and shard: of a million images thousands of small ones, and as many
requests where they lie on object storage. One file is read in a second. It names what it was made
from, and is made again where that has changed.
"""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa

from tasks.query.image_sql import ImageSql
from tasks.query.sql_words import read_parquet
from tasks.runs.folder import digest, read_metadata
from tasks.runs.reader import Run
from tasks.storage.files import detects_change, read_stamps
from tasks.storage.parquet import open_writer

VERSION = 2  # of the file: raised when the same columns get other values
MADE_FROM = b"sightline.made_from"
LARGE = 20_000  # images: a smaller run is read in a second from its parts, into memory
ROWS = 1 << 16  # of a row group


def is_large(images: int) -> bool:
    return images >= LARGE


def describe_origin(run: Run, images: ImageSql) -> bytes | None:
    """What the table stands on, as one name; None where a change would not be seen.

    Parts are not among it: they do not change without the files that are made from all of them.
    """
    folder = run.folder
    files = (folder.catalog, folder.flags, folder.summary, folder.pattern_members)
    stamps = read_stamps([str(file) for file in files if file.is_file()])
    columns = [(column.name, column.values) for column in images.columns]
    return digest(VERSION, columns, stamps).encode() if all(map(detects_change, stamps)) else None


def find_kept(run: Run, origin: bytes | None) -> str | None:
    """SQL that reads the kept table; None where there is none of this origin."""
    path = run.folder.image_table
    if origin is None or read_metadata(path).get(MADE_FROM) != origin:
        return None
    return f"SELECT * FROM {read_parquet(path)}"


def is_worth_keeping(run: Run, origin: bytes, rows: int) -> bool:
    """Is the run large and finished, and not kept already?"""
    is_finished = run.folder.read_state().state == "finished"
    return is_large(rows) and is_finished and find_kept(run, origin) is None


def keep_table(run: Run, origin: bytes, batches: pa.RecordBatchReader) -> None:
    """Write it. Who may not write there reads the parts each time."""
    fields = batches.schema.with_metadata({MADE_FROM: origin})
    with suppress(OSError), open_writer(run.folder.image_table, fields) as write:
        for batch in batches:
            write(pa.Table.from_batches([batch]).cast(fields), row_group_size=ROWS)
