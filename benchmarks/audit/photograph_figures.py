"""Figures of photographs: how each way of pasting, each score and the null hold.

Shapes: N photographs, M moves, B backgrounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.audit.auroc import auroc, auroc_intervals, auroc_within
from benchmarks.audit.photograph_scores import Outcomes, flag, scores_of, thirds
from benchmarks.measure import Figure
from tasks.intervals.bootstrap import bootstrap_means

Columns = Mapping[str, np.ndarray]
AREAS = ("small", "medium", "large")  # thirds of the object's area
FIRST_RANKS = 0.05  # of the backgrounds, by how much they say a photograph's class
COUNTS = ((4, 4), (3, 3), (2, 3), (2, 4), (1, 4))  # moves, exchanges


def paste_figures(name: str, moved: Columns) -> Iterator[Figure]:
    """Does pasting leave the prediction as it is, and does the hole still show the class?"""
    changed_N = (moved["own_prediction"] != moved["prediction"][:, None]).mean(1)
    yield share(f"{name}: own background moved, predictions that change", changed_N)
    third_N = thirds(moved["area"])
    for third, area in enumerate(AREAS):
        yield share(f"{name}: the same, {area} objects", changed_N[third_N == third])
    says_N = moved["alone_prediction"] == moved["prediction"]
    yield share(f"{name}: the own background alone is predicted alike", says_N)
    others_NB = moved["alone_prediction"][None] == moved["prediction"][:, None]
    np.fill_diagonal(others_NB, False)
    yield share(f"{name}: the backgrounds of others are", others_NB.sum(1) / (len(others_NB) - 1))
    rank_N = (moved["alone"] > np.diag(moved["alone"])[:, None]).mean(1)
    yield share(f"{name}: the own background is of the first 5%", rank_N < FIRST_RANKS)


def exchange_figures(name: str, moved: Columns, exchanged: Columns) -> Iterator[Figure]:
    """How many predictions change on the backgrounds of others."""
    changed_N = (exchanged["exchanged_prediction"] != exchanged["prediction"][:, None]).mean(1)
    yield share(f"{name}: backgrounds of others, predictions that change", changed_N)
    third_N = thirds(moved["area"])
    for third, area in enumerate(AREAS):
        yield share(f"{name}: the same, {area} objects", changed_N[third_N == third])


def score_figures(name: str, outcomes: Outcomes) -> Iterator[Figure]:
    """AUROC of each score against most of twelve fresh exchanges, overall and within thirds."""
    third_N, truth_N = thirds(outcomes.area_N), outcomes.truth_N
    yield share(f"{name}: truth, most of 12 fresh backgrounds change it", truth_N)
    for score, score_N in scores_of(outcomes).items():
        ends = auroc_intervals(score_N, truth_N, third_N)
        yield Figure(
            f"{name}: AUROC of {score}", auroc(score_N, truth_N), ends.get("low"), ends.get("high")
        )
        yield Figure(
            f"{name}: within thirds of the area, {score}",
            auroc_within(score_N, truth_N, third_N),
            ends.get("within low"),
            ends.get("within high"),
        )


def flag_figures(
    name: str, moved: Columns, exchanged: Columns, kept_N: np.ndarray
) -> Iterator[Figure]:
    """What the null flags, for several numbers of moves and exchanges."""
    for moves, seen in COUNTS:
        outcomes = Outcomes.of(moved, exchanged, seen, moves).chosen(kept_N)
        flags, truth_N = flag(outcomes), outcomes.truth_N
        decided_N, flagged_N = flags.decided_N, flags.flagged_N
        words = f"{name}, {moves} moves and {seen} exchanges"
        yield share(f"{words}: undecided", ~decided_N)
        yield share(f"{words}: flagged", flagged_N[decided_N])
        yield share(f"{words}: flagged by the null", flags.by_null_N[decided_N])
        yield share(f"{words}: precision", truth_N[flagged_N])
        yield share(f"{words}: recall", flagged_N[decided_N & truth_N])


def share(name: str, value_N: np.ndarray) -> Figure:
    """The mean with its bootstrap interval."""
    if not len(value_N):
        return Figure(name, float("nan"))
    (mean,) = bootstrap_means(np.asarray(value_N, np.float64)[:, None])
    assert mean is not None
    return Figure(name, mean.value, mean.low, mean.high)
