"""Tables in unnamed temporary files: for what is as long as a run and is asked column by column.

Their pages are the system's, which takes them back when it needs the memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile

import pyarrow as pa

BLOCK = 1 << 16  # rows that are in memory on the way


class DiskTable:
    """A table that is written block by block, then read where it lies."""

    def __init__(self, schema: pa.Schema) -> None:
        self._file = TemporaryFile(prefix="sightline-")  # noqa: SIM115  # closed once it is mapped
        self._writer = pa.ipc.new_stream(self._file, schema)

    def append(self, block: pa.Table) -> None:
        """One chunk of the table."""
        self._writer.write_table(block.unify_dictionaries().combine_chunks())

    def finish(self) -> pa.Table:
        """The table; the file disappears with it."""
        self._writer.close()
        with self._file as file:
            file.flush()
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_stream(pa.py_buffer(content)).read_all()


def keep_on_disk(blocks: Iterable[pa.Table]) -> pa.Table:
    """The rows of the blocks, of which there is at least one."""
    (table,) = keep_sides_on_disk((block,) for block in blocks)
    return table


def keep_sides_on_disk(blocks: Iterable[tuple[pa.Table, ...]]) -> tuple[pa.Table, ...]:
    """The same of several tables, whose blocks come side by side."""
    tables: tuple[DiskTable, ...] = ()
    for sides in blocks:
        tables = tables or tuple(DiskTable(side.schema) for side in sides)
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
