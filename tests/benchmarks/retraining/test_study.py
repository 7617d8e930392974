"""The study's statistics against slow loops, and its cells' names."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retraining.cells import ROWS, Cell
from benchmarks.retraining.pictures import Scenery
from benchmarks.retraining.questions import CHAPTERS, STRONG, Truth
from benchmarks.retraining.seed_bootstrap import Drawn, Interval

SEEDS, PICTURES = 3, 40


@pytest.fixture
def drawn() -> Drawn:
    return Drawn.of(PICTURES, SEEDS)


def test_every_draw_is_a_sample_with_replacement(drawn: Drawn) -> None:
    assert (drawn.count_RN.sum(1) == PICTURES).all()
    assert np.allclose(drawn.seed_RS.sum(1), 1)
    assert (drawn.count_RN[0] == 1).all()
    assert drawn.count_RN[1:].max() > 1


def test_means_leave_out_what_is_not_known(drawn: Drawn) -> None:
    value_N = np.arange(PICTURES, dtype=float)
    value_N[::3] = np.nan
    means_R = drawn.means(value_N)
    for draw in (0, 1, 7):
        there = [
            (count, value)
            for count, value in zip(drawn.count_RN[draw], value_N, strict=True)
            if np.isfinite(value)
        ]
        expected = sum(c * v for c, v in there) / sum(c for c, _ in there)
        assert means_R[draw] == pytest.approx(expected)


def test_the_worst_group_is_found_again_in_each_draw(drawn: Drawn) -> None:
    generator = np.random.default_rng(1)
    group_N = np.arange(PICTURES) % 4
    right_N = (generator.random(PICTURES) < 0.3 + 0.2 * group_N).astype(float)
    worst_R = drawn.worst(right_N, (group_N == np.arange(4)[:, None]).astype(float))
    for draw in (0, 3, 9):
        count_N = drawn.count_RN[draw]
        rates = [
            (count_N * right_N)[group_N == g].sum() / count_N[group_N == g].sum() for g in range(4)
        ]
        assert worst_R[draw] == pytest.approx(min(rates))


def test_an_interval_holds_its_value(drawn: Drawn) -> None:
    value_SR = np.stack([drawn.means(np.random.default_rng(s).random(40)) for s in range(SEEDS)])
    found = Interval.of(drawn.over_seeds(value_SR))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(value_SR[:, 0].mean())


def test_truths_are_those_of_a_balanced_split() -> None:
    truth = Truth.of(Scenery(seed=1))
    assert truth.group_GN.sum(1).tolist() == [80.0] * 16
    assert truth.follows_N.sum() == 320


def test_each_cell_has_a_file_of_its_own() -> None:
    files = [
        cell.file for chapter in CHAPTERS for row in chapter.rows for cell in chapter.cells(row)
    ]
    assert len(set(files)) == len(files)


def test_equal_seconds_are_fewer_steps_of_what_costs_more() -> None:
    paper = Cell(Scenery(), "sib, paper", "seconds")
    own = Cell(Scenery(), "sib, interventional", "seconds")
    assert own.steps == Cell(Scenery(), "erm").steps
    assert paper.steps * ROWS["sib, paper"].cost == pytest.approx(
        own.steps * ROWS["sib, interventional"].cost, rel=0.01
    )
    assert set(ROWS) == set(STRONG.rows)
