"""Prefect's own database: copied when it is new, and refused when this Prefect cannot use it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from flows.settings.environment import cache_folder, has_own_prefect_database
from models.errors import UserError, printable
from tasks.storage.empty_database import EmptyDatabase

MIGRATIONS = Path("server/database/_migrations/versions/sqlite")


def prepare_database(home: Path) -> Path | None:
    """Check the database, or copy an empty one; returns one that the server is about to make."""
    database = database_in(home)
    if database is None or empty_database().copy_to(database):
        return None
    if database.exists():
        check_database(database)
        return None
    return database


def database_in(home: Path) -> Path | None:
    """The file of the database; None where the user has chosen another one."""
    return None if has_own_prefect_database() else home / "prefect.db"


def empty_database() -> EmptyDatabase:
    return EmptyDatabase.of(cache_folder(), "prefect", version("prefect"))


def check_database(database: Path) -> None:
    """Refuse a database that is damaged, or that a newer Prefect has migrated."""
    remedy = f"move it away (mv {database} {database}.old); audits are kept in their run folders"
    try:
        revision = _read_revision(database)
    except sqlite3.Error as error:
        if "locked" in str(error):  # by another command, which found it fit
            return
        raise UserError(f"Prefect's database {database} is damaged: {remedy}") from error
    if revision is not None and not _is_known(revision):
        raise UserError(
            f"Prefect's database {database} was changed by another version of Prefect (its schema "
            f"{printable(revision)} is unknown to {version('prefect')}): install that version, or "
            f"{remedy}"
        )


def _read_revision(database: Path) -> str | None:
    """The schema's; None where another command's server is about to make it."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        if verdict != "ok" or (tables and "alembic_version" not in tables):
            raise sqlite3.DatabaseError(verdict)
        if not tables:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])


def _is_known(revision: str) -> bool:
    """Does this Prefect have the migration that leads to this schema?"""
    package = find_spec("prefect")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / MIGRATIONS
    mark = f'revision = "{revision}"'
    return not folder.is_dir() or any(
        mark in file.read_text(encoding="utf-8") for file in folder.glob("*.py")
    )
