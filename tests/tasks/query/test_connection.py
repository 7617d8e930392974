"""A large table is read into a temporary file: what disappears, what happens when it is full."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from tasks.query import connection, kept_table
from tasks.query.connection import Database
from tasks.query.database import open_images
from tasks.query.filters import SPACES
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run

MANY = "CREATE TABLE images AS SELECT range AS row, hash(range) AS value FROM range(400_000)"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_its_file_is_there_as_long_as_it_is(temporary: Path) -> None:
    database = Database.in_file()
    database.fill(MANY, 400_000)
    assert list(temporary.glob("sightline-*/images.duckdb"))
    assert database.connection.sql("SELECT count(*) FROM images").fetchall() == [(400_000,)]
    del database
    assert not list(temporary.iterdir())


def test_nothing_is_left_by_a_program_that_ends(tmp_path: Path) -> None:
    program = "from tasks.query.connection import Database\n"
    program += f"kept = Database.in_file()\nkept.fill({MANY!r}, 1)"
    subprocess.run(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": "."},
        check=True,
    )
    assert not list(tmp_path.iterdir())


def test_a_large_run_has_the_same_rows(
    finished_run: RunFolder, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(finished_run, finished_run.read_state())
    in_memory = open_images(run)
    monkeypatch.setattr(kept_table, "LARGE", 1)
    in_file = open_images(run)
    assert list(temporary.glob("sightline-*"))
    everything = "SELECT * FROM images ORDER BY row"
    assert in_file.arrow(everything).equals(in_memory.arrow(everything))
    assert in_file.columns == in_memory.columns


def test_coordinates_are_added_to_a_file(
    finished_run: RunFolder, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_table, "LARGE", 1)
    images = open_images(Run(finished_run, finished_run.read_state()))
    row_ids = images.arrow(f"SELECT {images.names['row_id']} AS row_id FROM images ORDER BY row")
    places = [name for space in SPACES for name in (f"{space}_x", f"{space}_y")]
    plot = row_ids
    for number, name in enumerate(places):
        plot = plot.append_column(name, [[float(number + it) for it in range(len(row_ids))]])
    images.add_coordinates(plot, SPACES)
    assert images.arrow(f"SELECT {', '.join(places)} FROM images ORDER BY row").equals(
        plot.drop_columns(["row_id"])
    )


def test_what_needs_more_memory_gets_it(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MEGABYTES", 4)
    database = Database.in_file()
    wide = "CREATE TABLE images AS SELECT list(range ORDER BY range) AS all FROM range(2_000_000)"
    with pytest.raises(duckdb.OutOfMemoryException):
        database.connection.execute("SET memory_limit = '4MB'").execute(wide)
    database.fill(wide, 1)
    assert database.connection.sql('SELECT len("all") FROM images').fetchall() == [(2_000_000,)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk with no more room than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [100, 500_000])
def test_a_full_disk_is_named(temporary: Path, room: int) -> None:
    named = re.escape(f"File too large: name a folder with more room in TMPDIR: '{temporary}'")
    with files_of_at_most(room), pytest.raises(OSError, match=named):
        Database.in_file().fill(MANY, 1)
