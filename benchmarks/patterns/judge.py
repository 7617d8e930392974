"""How well found patterns match those that were planted.

A found pattern belongs to a planted one if it pulls to its class and at least BELONGS of its
members carry the planted pattern (as in SpotCheck, arXiv 2207.04104). Each planted pattern is given
to at most one found pattern, so that a second one of the same planted pattern counts as false. What
is true of a network without being planted (it may like a kind of background) is neither.
Domino's own figures are more lenient: they add the complement of every slice, and take the best
slice for each planted one. Shapes: F found patterns, P planted ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

BELONGS = 0.8  # share of the found members that must carry the planted pattern
CONFIRMED = "confirmed"
FIRST = (10, 25)  # members nearest to the pattern's centre, whose precision is measured


@dataclass(frozen=True)
class FoundPattern:
    """A pattern as a method reports it."""

    members: tuple[str, ...]  # row ids, the nearest to its centre first
    label: str  # the class that it pulls to
    verdict: str = CONFIRMED


@dataclass(frozen=True)
class PlantedPattern:
    """What was planted."""

    name: str
    members: frozenset[str]  # row ids of the audited split
    label: str


@dataclass(frozen=True)
class Judgement:
    """What the confirmed patterns of one run are worth."""

    found: dict[str, tuple[float, ...]]  # by planted pattern: precision of the FIRST members
    missed: tuple[str, ...] = ()
    repeats: int = 0  # belong to a planted pattern that another one was given
    unplanted: int = 0  # belong to what is true without being planted
    others: tuple[str, ...] = ()  # belong to none: the classes that they pull to

    @property
    def false(self) -> int:
        """Number of confirmed patterns that are given no planted one."""
        return self.repeats + len(self.others)


def judge(
    found: Sequence[FoundPattern],
    planted: Sequence[PlantedPattern],
    unplanted: Sequence[PlantedPattern] = (),
) -> Judgement:
    """Of the confirmed patterns of one run; `unplanted` are those that are true all the same."""
    confirmed = [pattern for pattern in found if pattern.verdict == CONFIRMED]
    overlap_FP = np.array([overlap(it, truth) for it in confirmed for truth in planted])
    overlap_FP = overlap_FP.reshape(len(confirmed), len(planted))
    pairs = zip(*linear_sum_assignment(overlap_FP, maximize=True), strict=True)
    given = {int(row): planted[column] for row, column in pairs if overlap_FP[row, column] > 0}
    repeated = [
        bool(overlap_P.any()) and row not in given for row, overlap_P in enumerate(overlap_FP)
    ]
    left = [it for row, it in enumerate(confirmed) if row not in given and not repeated[row]]
    others = [it for it in left if not any(overlap(it, truth) for truth in unplanted)]
    return Judgement(
        found={truth.name: _precisions(confirmed[row], truth) for row, truth in given.items()},
        missed=tuple(truth.name for truth in planted if truth not in given.values()),
        repeats=sum(repeated),
        unplanted=len(left) - len(others),
        others=tuple(it.label for it in others),
    )


def overlap(found: FoundPattern, planted: PlantedPattern) -> float:
    """Intersection over union of the members; 0 unless the one belongs to the other."""
    if found.label != planted.label or precision_of(found.members, planted) < BELONGS:
        return 0.0
    common = len(planted.members.intersection(found.members))
    return common / (len(set(found.members)) + len(planted.members) - common)


def precision_of(members: Sequence[str], planted: PlantedPattern) -> float:
    """Share of these that carry the planted pattern; 0 of none."""
    return sum(member in planted.members for member in members) / max(1, len(members))


def count_found(runs: Sequence[Judgement]) -> tuple[int, int]:
    """Of all planted patterns, those that are found, and how many there are: the discovery rate."""
    found = sum(len(it.found) for it in runs)
    return found, found + sum(len(it.missed) for it in runs)


def count_false(runs: Sequence[Judgement]) -> tuple[int, int]:
    """Of all confirmed patterns, without unplanted ones, those that are false, and how many there
    are: the false discovery rate."""
    false = sum(it.false for it in runs)
    return false, false + sum(len(it.found) for it in runs)


def mean_precision(runs: Sequence[Judgement], first: int) -> float:
    """Share of the first members that carry the planted pattern, mean over found patterns."""
    shares = [shares[FIRST.index(first)] for it in runs for shares in it.found.values()]
    return float(np.mean(shares)) if shares else float("nan")


def _precisions(found: FoundPattern, planted: PlantedPattern) -> tuple[float, ...]:
    return tuple(precision_of(found.members[:first], planted) for first in FIRST)
