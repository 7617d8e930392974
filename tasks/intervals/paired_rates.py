"""How much a rate changed between two samples that share images, with an interval.

From night to night most images are the same, so the two rates are neither independent nor fully
paired. Newcombe's hybrid score interval covers every case: it combines each rate's Wilson interval
with the correlation of the two rates. Where no image is shared this is his interval for independent
rates (Newcombe 1998, Statistics in Medicine 17:873, method 10); where all are, his interval for
paired ones (17:2635, method 10); in between, the correlation is that of the shared images times
their share of both samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tasks.intervals.change import Change
from tasks.schema import Rate, wilson

EXACT = 1000  # up to so many images that differ, the binomial is summed exactly


@dataclass(frozen=True)
class Crossing:
    """The shared images, counted by their answers before and now."""

    both: int = 0
    only_before: int = 0
    only_now: int = 0
    neither: int = 0

    @classmethod
    def of(cls, before: np.ndarray, now: np.ndarray) -> Crossing:
        """From the answers, true or false, in the same order."""
        (crossing,) = cls.of_groups(before, now, np.zeros(len(now), int), 1)
        return crossing

    @classmethod
    def of_groups(
        cls, before: np.ndarray, now: np.ndarray, group: np.ndarray, groups: int
    ) -> list[Crossing]:
        """The same of each group; `group` is the number of each image's."""
        counts = np.bincount(4 * group + 2 * ~before + ~now, minlength=4 * groups)
        return [cls(*row) for row in counts.reshape(groups, 4).tolist()]

    def __add__(self, other: Crossing) -> Crossing:
        return Crossing(
            self.both + other.both,
            self.only_before + other.only_before,
            self.only_now + other.only_now,
            self.neither + other.neither,
        )

    @property
    def shared(self) -> int:
        return self.both + self.only_before + self.only_now + self.neither

    @property
    def correlation(self) -> float:
        """Phi, with Newcombe's continuity correction where it is positive; 0 where undefined."""
        a, b, c, d = self.both, self.only_before, self.only_now, self.neither
        spread = (a + b) * (c + d) * (a + c) * (b + d)
        if spread == 0:
            return 0.0
        lean = float(a * d - b * c)
        if lean > 0:
            lean = max(lean - self.shared / 2, 0.0)
        return lean / math.sqrt(spread)


@dataclass(frozen=True)
class Rates:
    """One rate in two samples of at least one image each, and the images that they share."""

    before: Rate
    now: Rate
    crossing: Crossing


def change_of_rate(rates: Rates, confidence: float = 0.95) -> Change:
    """now - before with Newcombe's interval, using the correlation of the shared images."""
    before, now, crossing = rates.before, rates.now, rates.crossing
    p, p_low, p_high = _ends(wilson(now.count, now.of, confidence))
    q, q_low, q_high = _ends(wilson(before.count, before.of, confidence))
    alike = crossing.correlation * crossing.shared / math.sqrt(before.of * now.of)
    return Change(
        p - q,
        p - q - _combine(p - p_low, q_high - q, alike),
        p - q + _combine(p_high - p, q - q_low, alike),
    )


def mcnemar_p(more: int, fewer: int) -> float:
    """McNemar's one-sided test: the probability that at least `more` of the images that differ
    lie on one side, if both sides were equally likely.

    Exact for few images, the normal approximation with a continuity correction for many.
    """
    count = more + fewer
    if count > EXACT:
        return 1 - NormalDist().cdf((more - 0.5 - count / 2) / (math.sqrt(count) / 2))
    return float(sum(math.comb(count, k) for k in range(more, count + 1)) / 2**count)


def fewest_that_differ(confidence: float) -> int:
    """How many images must differ before a change can be claimed (the sign test): with fewer, even
    if all changed in the same direction, a coin would do so too often."""
    return math.ceil(1 - math.log2(1 - confidence))


def _ends(rate: Rate) -> tuple[float, float, float]:
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    return rate.value, rate.low, rate.high


def _combine(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))
