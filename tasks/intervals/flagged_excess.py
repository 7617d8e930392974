"""The flagged share minus the null's: what the same threshold flags by chance.

The threshold is exceeded by a stated share of the null, and is as uncertain as the shares: each
draw finds its own (tasks/flags/background_score.py has the scores). Shapes: N images, R draws, 2 is
before and after.
"""

from __future__ import annotations

import math

import numpy as np

from tasks.intervals.bootstrap import Draws, Floats, percentile_interval
from tasks.intervals.change import Change


def threshold_rank(images: int, false_alarm: float) -> int:
    """The rank, from the smallest, of the null score that another image of the null exceeds with at
    most this probability; more than the number of images where those are too few."""
    return math.ceil((images + 1) * (1 - false_alarm))


def bootstrap_excess(score_N: Floats, null_N: Floats, false_alarm: float, value: float) -> Change:
    """The excess of one model, as a change from 0."""
    drawn_R = _excess_of_draws(Draws.of(len(score_N)), score_N, null_N, false_alarm)
    return Change(value, *percentile_interval(value, drawn_R))


def change_of_excess(score_N2: Floats, null_N2: Floats, false_alarm: float, value: float) -> Change:
    """The change of the excess between two models on the same images."""
    draws = Draws.of(len(score_N2))
    before_R, after_R = (
        _excess_of_draws(draws, score_N2[:, side], null_N2[:, side], false_alarm) for side in (0, 1)
    )
    return Change(value, *percentile_interval(value, after_R - before_R))


def _excess_of_draws(draws: Draws, score_N: Floats, null_N: Floats, false_alarm: float) -> Floats:
    images_R = draws.sums(np.ones(len(score_N)))
    rank_R = np.array([min(n, threshold_rank(int(n), false_alarm)) for n in images_R], float)
    threshold_R = draws.order_statistics(null_N, rank_R)
    flagged_R = draws.counts_above(score_N, threshold_R)
    excess_R: Floats = (flagged_R - draws.counts_above(null_N, threshold_R)) / images_R
    return excess_R
