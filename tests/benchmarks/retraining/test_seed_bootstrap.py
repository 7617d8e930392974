"""The bootstrap over seeds and pictures against slow loops."""

from __future__ import annotations

import numpy as np
import pytest

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
