"""The lowest mean over several groups, and its change, whichever group is the lowest.

A sample's lowest group lies below the true lowest, the more so the more groups there are, and a
bootstrap repeats that bias. So both intervals here are built from simultaneous intervals of all
groups.
Shapes: n images, G groups, 2 is before and after.
"""

from __future__ import annotations

import numpy as np

from tasks.intervals.bootstrap import Floats, Indices
from tasks.intervals.change import Change
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate
from tasks.schema import wilson


def interval_of_worst(right_n: Floats, group_n: Indices, confidence: float) -> tuple[float, float]:
    """The ends for the lowest mean over groups: the lowest of all lower and of all upper ends."""
    from scipy.special import betaincinv

    count_G = np.bincount(group_n)
    right_G = np.bincount(group_n, right_n)
    beyond = (1 - simultaneous_confidence(len(count_G), confidence)) / 2
    wrong_G = count_G - right_G  # Clopper and Pearson: valid in small groups, too
    low_G = betaincinv(right_G, wrong_G + 1, beyond, where=right_G > 0, out=np.zeros(len(count_G)))
    high_G = betaincinv(
        right_G + 1, wrong_G, 1 - beyond, where=wrong_G > 0, out=np.ones(len(count_G))
    )
    return float(low_G.min()), float(high_G.min())


def change_of_worst(right_n2: Floats, group_n: Indices, confidence: float = 0.95) -> Change:
    """The intersection of two intervals, each at a confidence at which both hold together.

    The lowest mean falls by no more than the group that falls most, and rises by no more than the
    one that rises most: narrow where both sides answer alike. The difference of the two lowest
    means, each with its own interval, is narrow where the groups differ.
    """
    count_G = np.bincount(group_n)
    lowest = [float((np.bincount(group_n, right_n2[:, side]) / count_G).min()) for side in range(2)]
    value = lowest[1] - lowest[0]
    half = simultaneous_confidence(2, confidence)
    is_right_n2 = right_n2 > 0
    crossings = Crossing.of_groups(is_right_n2[:, 0], is_right_n2[:, 1], group_n, len(count_G))
    each = simultaneous_confidence(len(count_G), half)
    moves = [_change_of_group(crossing, each) for crossing in crossings]
    before, after = (
        interval_of_worst(right_n2[:, side], group_n, simultaneous_confidence(2, half))
        for side in (0, 1)
    )
    low = max(min(move.low for move in moves), after[0] - before[1])
    high = min(max(move.high for move in moves), after[1] - before[0])
    return Change(value, low, high)


def _change_of_group(crossing: Crossing, confidence: float) -> Change:
    of = crossing.shared
    before = wilson(crossing.both + crossing.only_before, of)
    now = wilson(crossing.both + crossing.only_now, of)
    return change_of_rate(Rates(before, now, crossing), confidence)
