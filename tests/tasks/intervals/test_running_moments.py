"""What is added up piece by piece is what numpy says of the whole."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tasks.intervals.running_moments import BINS, Moments

VALUES = st.lists(st.floats(0, 100, width=32), max_size=60)


def joined(pieces: list[list[float]]) -> np.ndarray:
    return np.asarray(list(chain.from_iterable(pieces)), np.float32)


def summed(pieces: list[list[float]]) -> Moments:
    moments = Moments()
    for piece in pieces:
        moments.add(np.asarray(piece, np.float32))
    return moments


@given(pieces=st.lists(VALUES, max_size=6))
def test_pieces_have_the_moments_of_the_whole(pieces: list[list[float]]) -> None:
    moments, whole = (
        summed(pieces),
        joined(pieces).astype(float),
    )
    assert moments.count == len(whole)
    if len(whole) == 0:
        assert moments.mean is None
        return
    assert moments.mean == pytest.approx(whole.mean())
    low, high = moments.interval()
    if len(whole) == 1:
        assert low is high is None
    else:
        half = norm.ppf(0.975) * whole.std(ddof=1) / math.sqrt(len(whole))
        assert low == pytest.approx(whole.mean() - half, abs=1e-9)
        assert high == pytest.approx(whole.mean() + half, abs=1e-9)


@given(pieces=st.lists(VALUES, max_size=6))
def test_the_histogram_counts_every_value_once(pieces: list[list[float]]) -> None:
    histogram, whole = (
        summed(pieces).histogram(),
        joined(pieces),
    )
    assert len(histogram.counts) == BINS
    assert sum(histogram.counts) == len(whole)
    top = histogram.edges[-1]
    assert top >= 2
    assert top * 2 == int(top * 2)
    expected, _ = np.histogram(np.minimum(whole, top), bins=BINS, range=(0, top))
    assert (
        np.abs(np.cumsum(expected) - np.cumsum(histogram.counts)).max(initial=0)
        <= np.isclose(whole[:, None], histogram.edges, atol=1e-4).any(1).sum()
    )  # values on an edge may fall to either side


def test_outliers_do_not_stretch_the_histogram() -> None:
    lifts = np.concatenate([np.linspace(0, 3, 990), np.full(5, 90.0)])
    assert summed([lifts.tolist()]).histogram().edges[-1] == 3.0
