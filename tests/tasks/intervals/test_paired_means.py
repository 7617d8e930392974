"""Sums of pairs that pass by are numpy's of the whole, and the change of a mean is a t test's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.intervals.paired_means import Covariance, Mean, change_of_mean
from tasks.schema.values import quantile


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=2, max_size=60))
def test_covariance_by_pieces_is_numpys(pairs: list[tuple[float, float]]) -> None:
    before, now = np.array(pairs).T
    pieces = Covariance()
    for start in range(0, len(pairs), 7):
        pieces.add(before[start : start + 7], now[start : start + 7])
    pieces.add(before[:0], now[:0])
    assert pieces.count == len(pairs)
    assert pieces.value == pytest.approx(np.cov(before, now)[0, 1], abs=1e-6, rel=1e-6)


def test_the_change_of_a_mean_is_a_paired_t_where_all_is_shared_and_welchs_where_nothing_is() -> (
    None
):
    random = np.random.default_rng(3)
    before = random.gamma(2, 0.5, 400)
    now = before + random.normal(0.05, 0.1, 400)
    first, last = (
        Mean(400, float(side.mean()), float(side.std(ddof=1) / 20)) for side in (before, now)
    )
    pairs = Covariance()
    pairs.add(before, now)
    z = quantile(0.95)
    half = z * (now - before).std(ddof=1) / 20
    change = change_of_mean(first, last, pairs)
    assert change.high - change.value == pytest.approx(half)
    assert change.excludes_zero
    apart = change_of_mean(first, last, Covariance())
    assert apart.high - apart.value == pytest.approx(z * math.hypot(first.error, last.error))
    assert not apart.excludes_zero
