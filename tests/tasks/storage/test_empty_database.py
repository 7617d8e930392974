"""An empty database is made once and copied, never over one that is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tasks.storage.empty_database import EmptyDatabase
from tests.support.other_user import not_root


def make_database(path: Path, value: str = "made") -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute("INSERT INTO notes VALUES (?)", (value,))


def read_value(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT text FROM notes").fetchone()[0])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_database(tmp_path / "made.db")
    return tmp_path / "made.db"


@pytest.fixture
def empty(tmp_path: Path) -> EmptyDatabase:
    return EmptyDatabase.of(tmp_path / "cache/of/ours", "prefect", "3.9.1")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_kept_is_copied(empty: EmptyDatabase, made: Path, tmp_path: Path) -> None:
    assert not empty.copy_to(tmp_path / "new.db")
    empty.keep(made)
    assert empty.copy_to(tmp_path / "new.db")
    assert read_value(tmp_path / "new.db") == "made"
    assert empty.kept is not None
    assert files_in(empty.kept.parent) == ["empty-prefect-3.9.1.db"]  # nothing temporary
    assert files_in(tmp_path) == ["cache", "made.db", "new.db"]


def test_it_is_kept_while_its_server_has_it_open(
    empty: EmptyDatabase, made: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(made)) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute("UPDATE notes SET text = 'in its journal'")
        server.commit()
        empty.keep(made)
    assert empty.copy_to(tmp_path / "new.db")
    assert read_value(tmp_path / "new.db") == "in its journal"


def test_the_first_that_is_kept_stays(empty: EmptyDatabase, made: Path, tmp_path: Path) -> None:
    empty.keep(made)
    make_database(tmp_path / "used.db", "secret")
    empty.keep(tmp_path / "used.db")
    empty.copy_to(tmp_path / "new.db")
    assert read_value(tmp_path / "new.db") == "made"


@pytest.mark.parametrize("content", [b"", b"mine"])
def test_nothing_is_copied_over_a_file(
    empty: EmptyDatabase, made: Path, tmp_path: Path, content: bytes
) -> None:
    empty.keep(made)
    (tmp_path / "mine.db").write_bytes(content)
    assert not empty.copy_to(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_bytes() == content


def test_one_that_another_command_makes_meanwhile_stays(
    empty: EmptyDatabase, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.keep(made)
    monkeypatch.setattr("pathlib.Path.exists", lambda _: False)  # when it was looked for
    (tmp_path / "mine.db").write_bytes(b"mine")
    assert not empty.copy_to(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_bytes() == b"mine"
    assert not list(tmp_path.glob(".*.tmp"))


def test_another_version_is_another_file(empty: EmptyDatabase, made: Path, tmp_path: Path) -> None:
    empty.keep(made)
    newer = EmptyDatabase.of(tmp_path / "cache/of/ours", "prefect", "4.0")
    assert not newer.copy_to(tmp_path / "new.db")


def test_without_a_home_nothing_is_kept(made: Path, tmp_path: Path) -> None:
    nowhere = EmptyDatabase.of(None, "prefect", "3.9.1")
    nowhere.keep(made)
    assert not nowhere.copy_to(tmp_path / "new.db")


def test_a_cache_that_cannot_be_used_is_done_without(made: Path, tmp_path: Path) -> None:
    for folder in (made, Path("/dev/null/ours"), Path("/proc/ours")):  # no folders
        empty = EmptyDatabase.of(folder, "prefect", "3.9.1")
        empty.keep(made)
        assert not empty.copy_to(tmp_path / "new.db")
    with not_root(), TemporaryDirectory() as name:  # one that others cannot even look into
        own = Path(name)
        make_database(own / "made.db")
        empty = EmptyDatabase.of(tmp_path, "prefect", "3.9.1")
        empty.keep(own / "made.db")
        assert not empty.copy_to(own / "new.db")
    assert files_in(tmp_path) == ["made.db"]


def test_a_database_that_cannot_be_read_is_not_kept(empty: EmptyDatabase, tmp_path: Path) -> None:
    (tmp_path / "garbage.db").write_bytes(b"garbage" * 1000)
    empty.keep(tmp_path / "garbage.db")
    assert not empty.copy_to(tmp_path / "new.db")
    assert empty.kept is not None
    assert files_in(empty.kept.parent) == []
