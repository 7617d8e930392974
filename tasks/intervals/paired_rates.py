"""How much a figure changed between two samples that share images, with an interval.

Night after night most images are the same, so two rates are neither independent nor paired alone.
Newcombe's hybrid score interval covers all of it: each rate's Wilson interval, joined with the
correlation of the two rates. Where no image is shared that is his interval for independent rates
(Newcombe 1998, Statistics in Medicine 17:873, method 10), where all are it is his for paired ones
(17:2635, method 10), and between them the correlation is that of the shared images times their
part of both samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tasks.schema import Rate, wilson


@dataclass(frozen=True)
class Change:
    """now - before, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Crossing:
    """The shared images by their answers before and now."""

    both: int = 0
    only_before: int = 0
    only_now: int = 0
    neither: int = 0

    @classmethod
    def of(cls, before: np.ndarray, now: np.ndarray) -> Crossing:
        """From the answers, true or false, in one order."""
        places = 2 * ~before + ~now
        return cls(*np.bincount(places, minlength=4).tolist())

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
    """One rate in two samples, both of one image or more, and the images that they share."""

    before: Rate
    now: Rate
    crossing: Crossing


@dataclass(frozen=True)
class Mean:
    """A mean of so many values, and its standard error."""

    count: int
    value: float
    error: float


@dataclass
class Covariance:
    """Of pairs that pass by once and are not kept."""

    count: int = 0
    before: float = 0.0  # means
    now: float = 0.0
    product: float = 0.0  # sum of the products of the distances to the means

    def add(self, before: np.ndarray, now: np.ndarray) -> None:
        """Chan's update: no difference of large sums."""
        if len(before) == 0:
            return
        mean_before, mean_now = float(before.mean()), float(now.mean())
        total = self.count + len(before)
        apart = (mean_before - self.before) * (mean_now - self.now)
        self.product += float(((before - mean_before) * (now - mean_now)).sum())
        self.product += apart * self.count * len(before) / total
        self.before += (mean_before - self.before) * len(before) / total
        self.now += (mean_now - self.now) * len(before) / total
        self.count = total

    @property
    def value(self) -> float:
        return self.product / (self.count - 1) if self.count > 1 else 0.0


def quantile(confidence: float) -> float:
    """How many standard errors an interval of this confidence reaches to either side."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def change_of_rate(rates: Rates, confidence: float = 0.95) -> Change:
    """With Newcombe's interval, of the correlation that the shared images give."""
    before, now, crossing = rates.before, rates.now, rates.crossing
    z = quantile(confidence)
    first, last = wilson(before.count, before.of, z), wilson(now.count, now.of, z)
    p, p_low, p_high = _ends(last)
    q, q_low, q_high = _ends(first)
    alike = crossing.correlation * crossing.shared / math.sqrt(before.of * now.of)
    return Change(
        p - q,
        p - q - _joined(p - p_low, q_high - q, alike),
        p - q + _joined(p_high - p, q - q_low, alike),
    )


def change_of_mean(before: Mean, now: Mean, pairs: Covariance) -> Change:
    """With a 95% normal interval."""
    change = now.value - before.value
    covariance = pairs.count * pairs.value / (before.count * now.count)
    variance = before.error**2 + now.error**2 - 2 * covariance
    half = quantile(0.95) * math.sqrt(max(0.0, variance))
    return Change(change, change - half, change + half)


def _ends(rate: Rate) -> tuple[float, float, float]:
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    return rate.value, rate.low, rate.high


def _joined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))
