"""Tables in unnamed temporary files: for what is as long as a run and is asked column by column.

Their pages are the system's, which takes them back when it needs the memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from tempfile import TemporaryFile, gettempdir

import pyarrow as pa

BLOCK = 1 << 16  # rows that are in memory on the way


class DiskTable:
    """A table that is written block by block, then read where it lies."""

    def __init__(self, schema: pa.Schema) -> None:
        self._file = TemporaryFile(prefix="sightline-")  # noqa: SIM115  # closed by close
        self._writer = pa.ipc.new_stream(self._file, schema)

    def append(self, block: pa.Table) -> None:
        """One chunk of the table."""
        chunk = block.unify_dictionaries().combine_chunks()
        with _naming_the_folder():
            self._writer.write_table(chunk)

    def finish(self) -> pa.Table:
        """The table; the file disappears with it."""
        with _naming_the_folder():
            self._writer.close()
            self._file.flush()
            content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_stream(pa.py_buffer(content)).read_all()

    def close(self) -> None:
        """A finished table stays; of another nothing does, so its last bytes need no room."""
        with suppress(OSError):
            self._file.close()


def keep_on_disk(blocks: Iterable[pa.Table]) -> pa.Table:
    """The rows of the blocks, of which there is at least one."""
    (table,) = keep_sides_on_disk((block,) for block in blocks)
    return table


def keep_sides_on_disk(blocks: Iterable[tuple[pa.Table, ...]]) -> tuple[pa.Table, ...]:
    """The same of several tables, whose blocks come side by side."""
    tables: tuple[DiskTable, ...] = ()
    with ExitStack() as stack:
        for sides in blocks:
            tables = tables or tuple(
                stack.enter_context(closing(DiskTable(side.schema))) for side in sides
            )
            for table, side in zip(tables, sides, strict=True):
                table.append(side)
        found = tuple(table.finish() for table in tables)
    pa.default_memory_pool().release_unused()  # what the blocks took, which Arrow keeps
    return found


def in_blocks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer, larger tables."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(map(len, pending)) >= BLOCK:
            yield _concatenate(pending)
            pending = []
    if pending:
        yield _concatenate(pending)


def _concatenate(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default")


@contextmanager
def _naming_the_folder() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise name_temporary_folder(error.errno, str(error.strerror)) from error


def name_temporary_folder(number: int | None, reason: str) -> OSError:
    """The disk that is full is rarely that of the results: say which it is."""
    advice = f"{reason}: name a folder with more room in TMPDIR"
    return OSError(number, advice, gettempdir())
