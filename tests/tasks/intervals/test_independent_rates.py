"""Many differences at once are those that paired_rates computes one by one."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.intervals.independent_rates import Shares, differences
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate
from tasks.schema import wilson


@pytest.mark.parametrize("confidence", [0.95, 1 - 0.05 / 50_000])
def test_every_pair_has_newcombes_interval(confidence: float) -> None:
    random = np.random.default_rng(0)
    of_22 = random.integers(1, 90, (2, 4, 5))
    count_22 = random.binomial(of_22, random.random((2, 4, 5)))
    pair = [Shares(count, of) for count, of in zip(count_22, of_22, strict=True)]
    low, high = differences(pair[0], pair[1], confidence)
    for cell in np.ndindex(4, 5):
        here, elsewhere = (
            wilson(int(count[cell]), int(of[cell]))
            for count, of in zip(count_22, of_22, strict=True)
        )
        change = change_of_rate(Rates(elsewhere, here, Crossing()), confidence)
        assert (low[cell], high[cell]) == pytest.approx((change.low, change.high))


def test_a_rate_of_no_image_has_no_interval() -> None:
    none, some = Shares(np.array([0]), np.array([0])), Shares(np.array([3]), np.array([4]))
    for ends in (*differences(none, some, 0.95), *differences(some, none, 0.95)):
        assert np.isnan(ends).all()
