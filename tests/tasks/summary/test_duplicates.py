"""Copies of a picture are found by content; two labels for one picture stand first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.runs import open_run
from tasks.runs.reader import Run
from tasks.summary.duplicates import write_duplicates
from tests.support.audits import run_audit


@pytest.fixture
def run(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> Run:
    """Picture 0 under two labels, 1 twice under one, 2 with a copy in another shard, 3 once."""
    pictures = [benchmark_folder / f"images/test/{index:05d}.png" for index in range(4)]
    names = {
        "fish/a.png": 0,
        "cactus/b.png": 0,
        "fish/c.png": 1,
        "fish/d.png": 1,
        "balloon/first.png": 2,
        "mushroom/last.png": 2,
        "fish/alone.png": 3,
    }
    for name, index in names.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures[index], tmp_path / "data" / name)
    folder = run_audit(
        tmp_path / "run",
        DataSettings(path=str(tmp_path / "data")),
        ModelSettings(address=str(bundle)),
        AttributionSettings(methods=("grad_cam_pp",), shard_size=3),
    )
    return open_run(folder.path)


def test_copies_are_listed_with_contradictions_first(run: Run) -> None:
    table = pq.read_table(run.folder.duplicates)
    assert table.schema.equals(schema.DUPLICATES)
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in table.to_pylist():
        groups.setdefault(row["content_id"], []).append((row["row_id"], row["label"]))
    labels = table["labels"].to_pylist()
    assert labels == [2, 2, 2, 2, 1, 1]
    assert {frozenset(rows) for rows in groups.values()} == {
        frozenset({("fish/a.png", "fish"), ("cactus/b.png", "cactus")}),
        frozenset({("balloon/first.png", "balloon"), ("mushroom/last.png", "mushroom")}),
        frozenset({("fish/c.png", "fish"), ("fish/d.png", "fish")}),
    }
    found = run.summary().duplicates
    assert (found.pictures, found.rows, found.contradictions) == (3, 6, 2)
    assert {copy.label for copy in found.first[-1]} == {"fish"}


def test_hashes_that_collide_are_told_apart(run: Run) -> None:
    path = run.folder.part("predictions", 0)
    table = pq.read_table(path)
    ids = [f"{'0' * 16}{index:016d}" for index in range(len(table))]
    pq.write_table(table.set_column(1, table.schema.field(1), [ids]), path)
    found = write_duplicates(run)
    assert all(len({copy.row_id for copy in copies}) > 1 for copies in found.first)
    assert found.pictures < 3


def test_without_copies_the_table_is_empty(finished_run: object) -> None:
    found = open_run(finished_run.path).summary().duplicates  # type: ignore[attr-defined]
    assert (found.pictures, found.rows, found.first) == (0, 0, ())
