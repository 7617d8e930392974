"""Spearman's of weighted images is scipy's of the images repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tasks.intervals.bootstrap import Draws
from tasks.intervals.rank_correlation import rank_correlation, weighted_rank_correlation
from tasks.schema import ENOUGH

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=4, max_size=20
)


@given(ROWS)
def test_a_weight_is_so_many_copies(rows: list[tuple[int, int, int]]) -> None:
    one_n, other_n, weight_n = np.array(rows).T
    copies_n = np.repeat(np.arange(len(rows)), weight_n)
    (found,) = weighted_rank_correlation(weight_n[None].astype(float), one_n, other_n)
    if min(len(set(values[copies_n])) for values in (one_n, other_n)) < 2:
        assert np.isnan(found)
        return
    assert found == pytest.approx(spearmanr(one_n[copies_n], other_n[copies_n]).statistic)


def test_only_images_with_both_values_count() -> None:
    random = np.random.default_rng(0)
    one_N = random.random(60)
    other_N = one_N + random.normal(0, 0.3, 60)
    one_N[:5] = other_N[55:] = np.nan
    found = rank_correlation(one_N, other_N, Draws.of(60))
    assert found is not None
    assert found.of == 50
    assert found.value == pytest.approx(spearmanr(one_N[5:55], other_N[5:55]).statistic)
    assert found.low < found.value < found.high


def test_nothing_is_said_of_few_images_or_of_equal_values() -> None:
    few_N = np.arange(float(ENOUGH - 1))
    assert rank_correlation(few_N, few_N, Draws.of(len(few_N))) is None
    many_N = np.arange(30.0)
    assert rank_correlation(many_N, np.zeros(30), Draws.of(30)) is None
