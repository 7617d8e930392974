"""The table of images that a large run keeps: read instead of the parts, until these change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.errors import DamagedFile
from tasks.query import kept_table
from tasks.query.database import ImageDatabase, open_images
from tasks.query.filters import Filter, HasValue
from tasks.query.image_sql import image_sql
from tasks.query.kept_table import describe_origin, find_kept
from tasks.runs.contents import restart, stamp_results
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.scenarios.figures import choose_rows
from tasks.storage.parquet import read_table, write_table
from tests.support.audits import BENCHMARK


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that counts as large, with a table that was kept."""
    monkeypatch.setattr(kept_table, "LARGE", 1)
    shutil.copytree(finished_run.path, tmp_path / "run")
    run = Run.at(tmp_path / "run")
    stamp = stamp_results(run.folder)
    open_images(run).keep(run)
    assert run.folder.image_table.is_file()
    assert stamp_results(run.folder) == stamp  # the same audit again finds nothing to do
    return run


def rows(database: ImageDatabase) -> list[tuple[object, ...]]:
    names = ", ".join(database.names.values())
    found: list[tuple[object, ...]] = database.query(
        f"SELECT {names} FROM images ORDER BY row"
    ).fetchall()
    return found


def flags_of(database: ImageDatabase) -> list[tuple[object, ...]]:
    names = database.names
    sql = f"SELECT {names['row_id']}, {names['flag']} FROM images"
    found: list[tuple[object, ...]] = database.query(sql).fetchall()
    return found


def test_it_is_the_table_of_the_parts_and_is_read_without_them(run: Run) -> None:
    from_parts = open_images(run, before=run)
    for part in run.folder.parts("predictions"):
        content = part.read_bytes()
        part.write_bytes(b"PAR1" + bytes(200) + content[204:])  # its columns can still be listed
    kept = open_images(run)
    assert dict(kept.columns) == {name: from_parts.columns[name] for name in kept.columns}
    names = [from_parts.names[name] for name in kept.names]
    expected = from_parts.query(f"SELECT {', '.join(names)} FROM images ORDER BY row").fetchall()
    assert rows(kept) == expected


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_that_stays_in_its_files_has_the_same_rows(run: Run, kept: bool) -> None:
    if not kept:
        run.folder.image_table.unlink()
    held, left = open_images(run), open_images(run, copied=False)
    assert dict(left.columns) == dict(held.columns)
    assert rows(left) == rows(held)
    with pytest.raises(DamagedFile, match="run the command that wrote it again"):
        damage_and_ask(run, left)


def test_a_question_of_files_reads_those_of_its_columns_alone(run: Run) -> None:
    run.folder.image_table.unlink()
    left = open_images(run, run, copied=False)
    labels = [HasValue(column="label", values=tuple(BENCHMARK.classes))]
    found = choose_rows(left, Filter(conditions=tuple(labels))).to_pylist()
    assert sorted(found) == sorted(run.catalog["row_id"].to_pylist())
    for part in run.folder.parts("predictions"):
        part.write_bytes(b"")
    assert choose_rows(left, Filter(conditions=tuple(labels))).to_pylist() == found
    predicted = HasValue(column="prediction", values=tuple(BENCHMARK.classes))
    with pytest.raises(DamagedFile):
        choose_rows(left, Filter(conditions=(predicted,)))


def damage_and_ask(run: Run, left: ImageDatabase) -> None:
    for part in (run.folder.image_table, *run.folder.parts("predictions")):
        if part.exists():
            part.write_bytes(b"PAR1" + bytes(200) + part.read_bytes()[204:])
    left.arrow("SELECT * FROM images")


def test_it_is_not_read_when_a_file_has_changed_or_it_is_damaged(run: Run) -> None:
    flags = read_table(run.folder.flags)
    write_table(run.folder.flags, flags.slice(1))
    assert find_kept(run, describe_origin(run, image_sql(run))) is None
    unflagged = flags["row_id"][0].as_py()
    (flag,) = (row[1] for row in flags_of(open_images(run)) if row[0] == unflagged)
    assert flag is None
    open_images(run).keep(run)
    whole = rows(open_images(run))
    content = run.folder.image_table.read_bytes()
    run.folder.image_table.write_bytes(content[:4] + bytes(len(content) // 2) + content[-900:])
    assert rows(open_images(run)) == whole


def test_what_changes_while_it_is_open_is_read_the_next_time(run: Run) -> None:
    """A page is opened, discover or another command ends, and only then the table is kept."""
    run.folder.image_table.unlink()
    opened = open_images(run)
    flags = read_table(run.folder.flags)
    write_table(run.folder.flags, flags.slice(1))
    opened.keep(run)
    unflagged = flags["row_id"][0].as_py()
    (flag,) = (row[1] for row in flags_of(open_images(run)) if row[0] == unflagged)
    assert flag is None


def test_an_audit_that_goes_on_deletes_it(run: Run) -> None:
    restart(run.folder)
    assert not run.folder.image_table.exists()


def test_of_a_small_or_unfinished_run_nothing_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.folder.image_table.unlink()
    run.folder.update_state(state="running")
    open_images(run).keep(run)
    run.folder.update_state(state="finished")
    monkeypatch.setattr(kept_table, "LARGE", len(run.catalog) + 1)
    open_images(run).keep(run)
    assert not run.folder.image_table.exists()
