"""An SQLite database as its owner's migrations leave it, kept once and then copied."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4


@dataclass(frozen=True)
class EmptyDatabase:
    """Where the empty database of one version of a program is kept; None: nowhere."""

    kept: Path | None

    @classmethod
    def of(cls, cache: Path | None, program: str, version: str) -> EmptyDatabase:
        return cls(None if cache is None else cache / f"empty-{program}-{version}.db")

    def copy_to(self, database: Path) -> bool:
        """Put a copy where there is no database yet; False where none is kept."""
        if self.kept is None or database.exists():
            return False
        temporary = database.with_name(f".{uuid4().hex}.tmp")
        try:
            shutil.copyfile(self.kept, temporary)
            os.link(temporary, database)  # never over one that another command has just made
        except OSError:  # the owner makes it anew
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def keep(self, database: Path) -> None:
        """Keep a copy of a database that nobody has written to yet, if it can be kept."""
        if self.kept is None:
            return
        temporary = self.kept.with_name(f".{uuid4().hex}.tmp")
        with suppress(OSError, sqlite3.Error):
            if self.kept.exists():
                return
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                _copy(database, temporary)
                temporary.replace(self.kept)
            finally:
                temporary.unlink(missing_ok=True)


def _copy(database: Path, copy: Path) -> None:
    """With what its owner has not moved from the journal yet."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
