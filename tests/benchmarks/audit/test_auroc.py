"""The benchmark's AUROC is the share of pairs that are ordered rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.audit.auroc import auroc, auroc_within

Pairs = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30)


def by_pairs(score_N: np.ndarray, truth_N: np.ndarray) -> float:
    won = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in score_N[truth_N]
        for low in score_N[~truth_N]
    ]
    return float(np.mean(won)) if won else math.nan


@given(Pairs)
def test_it_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    score_N = np.array([float(score) for score, _ in rows])
    truth_N = np.array([truth for _, truth in rows])
    assert auroc(score_N, truth_N) == pytest.approx(by_pairs(score_N, truth_N), nan_ok=True)


def test_within_groups_a_difference_between_groups_counts_nothing() -> None:
    truth_N = np.array([True, False, True, False])
    group_N = np.array(["a", "a", "b", "b"])
    between_N = np.array([0.2, 0.1, 0.9, 0.8])
    assert auroc(between_N, truth_N) == 0.75
    assert auroc_within(between_N, truth_N, group_N) == 1.0
    assert math.isnan(auroc_within(between_N, np.ones(4, bool), group_N))
