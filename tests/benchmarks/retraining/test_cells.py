"""Cells of the study: each has a file of its own, and equal seconds are fewer steps."""

from __future__ import annotations

import pytest

from benchmarks.retraining.cells import ROWS, Cell
from benchmarks.retraining.comparisons import COMPARISONS, STRONG
from benchmarks.retraining.pictures import StudyPictures

PICTURES = StudyPictures("first", "small", 0.95, 1)


def test_each_cell_has_a_file_of_its_own() -> None:
    files = [
        cell.file
        for comparison in COMPARISONS
        for row in comparison.rows
        for cell in comparison.cells(row)
    ]
    assert len(set(files)) == len(files)


def test_every_kept_cell_is_one_of_the_study() -> None:
    cells = [cell for it in COMPARISONS for row in it.rows for cell in it.cells(row)]
    kept = set(cells[0].file.parents[1].rglob("*.npz"))
    others = {file for file in kept if file.parent.name in ("photographs", "foregrounds")}
    assert kept - others == {cell.file for cell in cells}


def test_equal_seconds_are_fewer_steps_of_what_costs_more() -> None:
    paper = Cell(PICTURES, "sib, paper", "seconds")
    own = Cell(PICTURES, "sib, interventional", "seconds")
    assert own.steps == Cell(PICTURES, "erm").steps
    assert paper.steps * ROWS["sib, paper"].cost == pytest.approx(
        own.steps * ROWS["sib, interventional"].cost, rel=0.01
    )
    assert set(ROWS) == set(STRONG.rows)
