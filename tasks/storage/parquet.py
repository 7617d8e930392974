"""Parquet files of a run: written with checksums, and verified wherever they are read.

Pages have the checksums of the format itself, which any reader may verify; what they do not cover
is sealed (seal.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import IO, Any
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from models.addresses import is_local, write_atomically
from models.errors import DamagedFile
from tasks.storage.files import read_stamps
from tasks.storage.remote_bytes import read_start
from tasks.storage.seal import SEAL, SealedFile, checksum_of, read_end

ROWS_AT_ONCE = 64  # decoded on the way to one row
AT_ONCE = 4 << 20  # bytes of a remote file that are read in one request

WriteTable = Callable[..., None]  # (table, row_group_size=None)


def write_table(target: UPath, table: pa.Table, rows_per_group: int | None = None) -> None:
    """Write a table whole or not at all."""
    with open_writer(target, table.schema) as write:
        write(table, row_group_size=rows_per_group)


@contextmanager
def open_writer(target: UPath, schema: pa.Schema) -> Iterator[WriteTable]:
    """A function that appends a table; the file appears when the block succeeds."""
    with write_atomically(target) as file:
        sealed = SealedFile(file)
        with pq.ParquetWriter(
            sealed, schema, compression="zstd", write_page_checksum=True
        ) as writer:
            yield writer.write_table
            sealed.keep_end()
        sealed.finish()


def read_table(
    target: UPath,
    columns: list[str] | None = None,
    filters: pc.Expression | None = None,
    expected: pa.Schema | None = None,
) -> pa.Table:
    """A file of a run, or some of its columns and rows; refuses a damaged one."""
    return open_parquet(target, expected=expected).read_rows(filters, columns)


def open_users_table(target: UPath) -> pq.ParquetFile:
    """A Parquet file that the user gave, of any columns; errors are Arrow's own."""
    source = str(target) if is_local(target) else target.open("rb")
    return pq.ParquetFile(source, page_checksum_verification=True)


def read_footer(target: UPath) -> pq.FileMetaData:
    """Its number of rows and groups, and its metadata; refuses a damaged one."""
    with _as_damage(target):
        return pq.read_metadata(_open_checked(target))


def kept_footer(target: UPath) -> pq.FileMetaData:
    """The footer of a file that is opened for every shard: read again only where the file has
    changed, since the footer grows with the shards, too."""
    return _footer_of(target, *read_stamps([str(target)]))


@lru_cache(maxsize=8)
def _footer_of(target: UPath, _: str) -> pq.FileMetaData:
    return read_footer(target)


def is_intact(target: UPath) -> bool:
    """Can all of the file be read as it was written?

    Of a remote file only the footer is checked: object stores verify what they keep.
    """
    try:
        read_footer(target)
        return not is_local(target) or _has_right_content(target)
    except (DamagedFile, FileNotFoundError):
        return False


def open_parquet(
    target: UPath, footer: pq.FileMetaData | None = None, expected: pa.Schema | None = None
) -> ParquetReader:
    """Open a file of a run to read parts of it; `expected` names and types are checked. A footer
    that was read before is not read again.

    An expected column that may be null is null where a file of an older version lacks it.
    """
    with _as_damage(target):
        source = _open_checked(target) if footer is None else _open_again(target)
        file = pq.ParquetFile(source, metadata=footer, page_checksum_verification=True)
    return ParquetReader(target, source, file, expected)


class ParquetReader:
    """An open Parquet file, whose pages are verified as they are read."""

    def __init__(
        self, target: UPath, source: Any, file: pq.ParquetFile, expected: pa.Schema | None
    ) -> None:
        self.target, self.source, self.file, self.expected = target, source, file, expected

    @property
    def schema(self) -> pa.Schema:
        with _as_damage(self.target):
            return self.file.schema_arrow

    @property
    def num_row_groups(self) -> int:
        count: int = self.file.num_row_groups
        return count

    @property
    def rows_of_groups(self) -> list[int]:
        metadata = self.file.metadata
        return [metadata.row_group(number).num_rows for number in range(self.num_row_groups)]

    def read(self, columns: list[str] | None = None) -> pa.Table:
        present = self._check_columns(columns)
        with _as_damage(self.target):
            return self._complete(self.file.read(columns=present), columns)

    def read_rows(
        self, filters: pc.Expression | None, columns: list[str] | None = None
    ) -> pa.Table:
        """The rows that a filter takes, or all; the others are never all in memory."""
        if filters is None:
            return self.read(columns)
        present = self._check_columns(columns)
        with _as_damage(self.target):
            rows = pq.read_table(
                self.source, columns=present, filters=filters, page_checksum_verification=True
            )
        return self._complete(rows, columns)

    def read_row_group(self, group: int, columns: list[str] | None = None) -> pa.Table:
        present = self._check_columns(columns)
        if group >= self.num_row_groups:
            raise damage(self.target, "it lacks rows")
        with _as_damage(self.target):
            return self._complete(self.file.read_row_group(group, columns=present), columns)

    def read_row(self, row: int, columns: list[str] | None = None) -> pa.Table:
        """One row, by its number in the file; the rows far behind it are not decoded."""
        metadata = self.file.metadata
        group = 0
        while row >= metadata.row_group(group).num_rows:
            row -= metadata.row_group(group).num_rows
            group += 1
        present = self._check_columns(columns)
        with _as_damage(self.target):
            for batch in self.file.iter_batches(ROWS_AT_ONCE, [group], columns=present):
                if row < len(batch):
                    rows = pa.Table.from_batches([batch]).slice(row, 1)
                    return self._complete(rows, columns)
                row -= len(batch)
        raise damage(self.target, "it lacks rows")

    def _check_columns(self, columns: list[str] | None) -> list[str] | None:
        """Those of these columns that are there; refuses a file that lacks one which is never null,
        or has one of another type."""
        schema, expected = self.schema, self.expected or pa.schema([])
        for name in expected.names if columns is None else columns:
            is_known = name in expected.names
            if name not in schema.names:
                if not is_known or not expected.field(name).nullable:
                    raise damage(self.target, f"it has no column {name!r}")
            elif is_known and schema.field(name).type != expected.field(name).type:
                raise damage(self.target, f"column {name!r} is of another type")
        return None if columns is None else [name for name in columns if name in schema.names]

    def _complete(self, table: pa.Table, columns: list[str] | None) -> pa.Table:
        """With the expected columns that the file lacks, all null."""
        expected = self.expected or pa.schema([])
        for name in expected.names if columns is None else columns:
            if name not in table.column_names:
                missing = expected.field(name)
                table = table.append_column(missing, pa.nulls(len(table), missing.type))
        return table if columns is None else table.select(columns)


def damage(target: UPath, what: str) -> DamagedFile:
    return DamagedFile(
        f"{target} is damaged ({what}): run the command that wrote it again, it computes what is "
        "missing"
    )


def _open_checked(target: UPath) -> Any:
    """What pyarrow reads from: a local path, since its own files are faster than Python's.

    Refuses a footer that differs from its checksum, before anything parses it.
    """
    if is_local(target):
        with target.open("rb") as file:
            _check_footer(target, file)
        return str(target)
    file = _open_remote(target)
    _check_footer(target, file)
    file.seek(0)
    return file


def _open_again(target: UPath) -> Any:
    """What pyarrow reads some rows from, of a file whose footer is known."""
    return str(target) if is_local(target) else target.open("rb")


def _open_remote(target: UPath) -> Any:
    """One request for what is small, as most parts are; of what is large, pieces are read."""
    start = read_start(target, AT_ONCE + 1)
    return BytesIO(start) if len(start) <= AT_ONCE else target.open("rb")


def _check_footer(target: UPath, file: IO[bytes]) -> None:
    found = read_end(file)
    if found is not None and crc32(found[1]) != int.from_bytes(found[0][-4:], "little"):
        raise damage(target, "its footer differs from its checksum")


def _has_right_content(target: UPath) -> bool:
    with target.open("rb") as file:
        found = read_end(file)
        if found is not None:
            seal, footer = found
            size = file.seek(0, 2) - len(seal) - len(footer)
            file.seek(0)
            return checksum_of(file, size) == int.from_bytes(seal[len(SEAL) : -4], "little")
    reader = open_parquet(target)
    for group in range(reader.num_row_groups):
        reader.read_row_group(group)
    return True


@contextmanager
def _as_damage(target: UPath) -> Iterator[None]:
    """Report what Arrow says of broken bytes as damage: a plain OSError without a number.

    The system's errors have one; object stores raise kinds of OSError without.
    """
    try:
        yield
    except (DamagedFile, MemoryError):
        raise
    except (pa.ArrowException, ValueError, KeyError, OverflowError) as error:
        raise damage(target, "it cannot be read as Parquet") from error
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        raise damage(target, "its content differs from its checksums") from error
