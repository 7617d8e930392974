"""How often the worst group's intervals hold the truth, and a limit that is just missed is kept."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.intervals.worst_group import change_of_worst, interval_of_worst

TRIALS = 150

Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]


def drawn(random: np.random.Generator, rate_G2: np.ndarray, images: int) -> Drawn:
    """Right or wrong, on two sides that share half of what makes an image hard."""
    group_n = np.repeat(np.arange(len(rate_G2)), images)
    hard_n = random.random(len(group_n))
    other_n = np.where(random.random(len(group_n)) < 0.5, hard_n, random.random(len(group_n)))
    hard_n2 = np.stack([hard_n, other_n], 1)
    return (hard_n2 < rate_G2[group_n]).astype(float), group_n


CASES = {
    "one group falls, the others rise": ([0.8] * 20, [0.6] + [0.95] * 19, 50),
    "many small groups, nothing changes": ([0.8] * 40, [0.8] * 40, 30),
    "nearly all right": ([0.99] * 16, [0.99] * 16, 80),
    "a shortcut is mended": ([0.0] + [0.6] * 9, [0.97] * 10, 40),
}


@pytest.mark.parametrize("case", CASES)
def test_the_interval_holds_the_true_change_of_the_worst_group(case: str) -> None:
    before, after, images = CASES[case]
    random, truth = np.random.default_rng(0), min(after) - min(before)
    held = []
    for _ in range(TRIALS):
        change = change_of_worst(*drawn(random, np.array([before, after]).T, images))
        assert change.low <= change.value <= change.high
        held.append(change.low <= truth <= change.high)
    assert np.mean(held) >= 0.94  # 95%, and what so few trials allow


def test_a_mended_worst_group_is_surely_better() -> None:
    random, rates = np.random.default_rng(0), np.array([[0.0] + [0.6] * 9, [0.97] * 10]).T
    assert change_of_worst(*drawn(random, rates, 80)).low > 0.5


def test_the_lowest_groups_own_interval_holds_the_truth() -> None:
    random, rates = np.random.default_rng(0), np.array([[0.7] * 30] * 2).T
    held = []
    for _ in range(TRIALS):
        right_n2, group_n = drawn(random, rates, 25)
        low, high = interval_of_worst(right_n2[:, 1], group_n, 0.95)
        held.append(low <= 0.7 <= high)
    assert np.mean(held) >= 0.94
