"""Prefect's database: copied where there is none, refused in one line where it cannot be used."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows.runtime import prefect_database
from flows.runtime.prefect_database import check_database, prepare_database
from flows.settings.environment import PREFECT_DATABASES
from models.errors import UserError
from tasks.storage.empty_database import EmptyDatabase
from tests.support.damage import overwritten, replaced, truncated


def make_database(path: Path, revision: str | None = "known") -> Path:
    """As Prefect's migrations begin one; large enough to be damaged."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.execute("CREATE TABLE flow (name TEXT)")
        connection.executemany("INSERT INTO flow VALUES (?)", [("x" * 400,)] * 200)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of Prefect, and a cache that keeps an empty database."""
    monkeypatch.setattr(prefect_database, "_is_known", lambda revision: revision == "known")
    empty = EmptyDatabase(tmp_path / "kept.db")
    monkeypatch.setattr(prefect_database, "empty_database", lambda: empty)
    for name in PREFECT_DATABASES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def check_refused(database: Path, words: str) -> None:
    before = database.read_bytes()
    with pytest.raises(UserError) as caught:
        prepare_database(database.parent)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"Prefect's database {database} ")
    assert words in line
    assert f"move it away (mv {database} {database}.old)" in line
    assert "audits are kept in their run folders" in line
    assert database.read_bytes() == before


def test_one_that_is_kept_is_copied(home: Path) -> None:
    make_database(home.parent / "kept.db")
    assert prepare_database(home) is None
    check_database(home / "prefect.db")


def test_where_none_is_kept_the_server_makes_it(home: Path) -> None:
    assert prepare_database(home) == home / "prefect.db"
    assert not (home / "prefect.db").exists()


def test_one_that_is_there_stays(home: Path) -> None:
    make_database(home.parent / "kept.db", "another")
    database = make_database(home / "prefect.db")
    before = database.read_bytes()
    assert prepare_database(home) is None
    assert database.read_bytes() == before


def test_the_users_own_database_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "prefect.db").write_bytes(b"garbage")
    monkeypatch.setenv(PREFECT_DATABASES[0], "postgresql+asyncpg://db/prefect")
    assert prepare_database(home) is None


def test_a_newer_prefects_is_refused(home: Path) -> None:
    database = make_database(home / "prefect.db", "f00dfeed0000")
    check_refused(database, "was changed by another version of Prefect (its schema f00dfeed0000 ")
    check_refused(database, "install that version, or move it away")


@pytest.mark.parametrize("content", [b"garbage", b"SQLite format 3\x00" + b"garbage" * 900])
def test_garbage_is_refused(home: Path, content: bytes) -> None:
    (home / "prefect.db").write_bytes(content)
    check_refused(home / "prefect.db", "is damaged: move it away")


def test_a_database_of_another_program_is_refused(home: Path) -> None:
    with closing(sqlite3.connect(home / "prefect.db")) as connection, connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    check_refused(home / "prefect.db", "is damaged: move it away")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_one_is_refused_or_can_be_read(home: Path, seed: int) -> None:
    chance = random.Random(seed)
    database = make_database(home / "prefect.db")
    content = database.read_bytes()
    for damage in (truncated, overwritten, replaced):
        database.write_bytes(damage(content, chance))
        try:
            prepare_database(home)
        except UserError:
            check_refused(database, f"Prefect's database {database} ")
        else:  # what was damaged holds no structure
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("SELECT count(*) FROM flow").fetchone()


def test_one_that_another_command_is_making_is_waited_for(home: Path) -> None:
    """Its server has opened it, or has begun its migrations."""
    (home / "prefect.db").touch()
    assert prepare_database(home) is None
    (home / "prefect.db").unlink()
    make_database(home / "prefect.db", revision=None)
    assert prepare_database(home) is None


def test_one_that_another_command_has_locked_is_not_called_damaged(home: Path) -> None:
    database = make_database(home / "prefect.db")
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert prepare_database(home) is None


def test_the_installed_prefect_knows_its_own_migrations() -> None:
    newest = sorted(
        line.split('"')[1]
        for file in migrations().glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("revision = ")
    )
    assert len(newest) > 50
    assert all(map(prefect_database._is_known, newest))
    assert not prefect_database._is_known("f00dfeed0000")


def migrations() -> Path:
    import prefect

    return Path(prefect.__file__).parent / prefect_database.MIGRATIONS
