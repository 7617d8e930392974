"""DuckDB inside the process: a database in memory, or in a temporary file that goes with it.

In memory a table of images takes 1.5 KB of each, in a file 0.1, of which what is asked for is read.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO
from tempfile import mkdtemp

import duckdb

from tasks.storage.disk_tables import name_temporary_folder

THREADS = 4  # that fill a file: each holds a block of rows with all columns
MEGABYTES = 512  # that reading a million images of a run may hold; fewer may hold as much
MILLION = 1_000_000


@dataclass(eq=False)
class Database:
    """A database of this process alone."""

    connection: duckdb.DuckDBPyConnection
    folder: str | None = None  # of its file, which disappears with it

    @classmethod
    def in_memory(cls) -> Database:
        return cls(_connect(":memory:"))

    @classmethod
    def in_file(cls) -> Database:
        folder = mkdtemp(prefix="sightline-")
        with _naming_full_disk(folder):
            database = cls(_connect(f"{folder}/images.duckdb"), folder)
        weakref.finalize(database, shutil.rmtree, folder, ignore_errors=True)
        return database

    def fill(self, create: str, images: int) -> None:
        """Make a table; in a file, within memory that grows from a million images on."""
        if self.folder is None:
            self.connection.execute(create)
            return
        limit = MEGABYTES * max(1.0, images / MILLION)
        self.connection.execute(f"SET threads = {THREADS}")
        self.connection.execute(f"SET memory_limit = '{limit:.0f}MB'")
        with _naming_full_disk(self.folder):
            try:
                self.connection.execute(create)
            except duckdb.OutOfMemoryException:  # such as of very long texts
                self.connection.execute("RESET memory_limit")
                self.connection.execute(create)
        self.connection.execute("RESET memory_limit")
        self.connection.execute("RESET threads")


def _connect(address: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(address, config={"autoinstall_known_extensions": False})
    connection.execute("SET enable_progress_bar = false")  # which DuckDB prints to stdout
    return connection


@contextmanager
def _naming_full_disk(folder: str) -> Iterator[None]:
    """DuckDB's errors are the same for files that it reads and for those that it writes."""
    try:
        yield
    except duckdb.Error as error:
        if folder not in str(error):
            raise
        raise name_temporary_folder(EIO, str(error).rpartition(": ")[2]) from error
