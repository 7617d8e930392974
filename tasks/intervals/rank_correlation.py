"""Spearman's rank correlation over images, with a bootstrap interval.

Shapes: N images, n of them that have both values, V distinct values, R draws of which r at once.
"""

from __future__ import annotations

import numpy as np

from tasks.intervals.bootstrap import Draws, Floats, percentile_interval
from tasks.schema import ENOUGH, Interval


def rank_correlation(one_N: Floats, other_N: Floats, draws: Draws) -> Interval | None:
    """Over the images that have both values; None where they are too few or all equal."""
    both_n = np.flatnonzero(np.isfinite(one_N) & np.isfinite(other_N))
    if len(both_n) < ENOUGH:
        return None
    one_n, other_n = one_N[both_n], other_N[both_n]
    (value,) = weighted_rank_correlation(np.ones((1, len(both_n))), one_n, other_n)
    if np.isnan(value):
        return None
    drawn_R = np.concatenate(
        [
            weighted_rank_correlation(weight_rn, one_n, other_n)
            for _, weight_rn in draws.weights(both_n)
        ]
    )
    low, high = percentile_interval(float(value), drawn_R)
    return Interval(value=float(value), low=low, high=high, of=len(both_n))


def weighted_rank_correlation(weight_rn: Floats, one_n: Floats, other_n: Floats) -> Floats:
    """(r,): of samples with so many of each image; NaN where all values are equal."""
    one_rn, other_rn = (_centred_ranks(value_n, weight_rn) for value_n in (one_n, other_n))
    together_r, one_r, other_r = (
        (weight_rn * left_rn * right_rn).sum(1)
        for left_rn, right_rn in ((one_rn, other_rn), (one_rn, one_rn), (other_rn, other_rn))
    )
    spread_r = np.sqrt(one_r * other_r)
    correlation_r: Floats = together_r / np.where(spread_r > 0, spread_r, np.nan)
    return correlation_r


def _centred_ranks(value_n: Floats, weight_rn: Floats) -> Floats:
    """(r, n): equal values share the middle of their ranks, and the mean rank is 0."""
    _, value_index_n, count_V = np.unique(value_n, return_inverse=True, return_counts=True)
    weight_rV = np.add.reduceat(
        weight_rn[:, np.argsort(value_index_n)], np.cumsum(count_V) - count_V, axis=1
    )
    rank_rV = weight_rV.cumsum(1) - weight_rV / 2 - weight_rV.sum(1, keepdims=True) / 2
    rank_rn: Floats = rank_rV[:, value_index_n]
    return rank_rn
