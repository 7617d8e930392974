"""How much a mean changed between two samples that share images, with a normal interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.intervals.change import Change
from tasks.schema.values import quantile


@dataclass(frozen=True)
class Mean:
    """A mean, how many values it is of, and its standard error."""

    count: int
    value: float
    error: float


@dataclass
class Covariance:
    """The covariance of pairs that are seen once and not kept."""

    count: int = 0
    before: float = 0.0  # means
    now: float = 0.0
    product: float = 0.0  # sum of the products of the deviations from the means

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


def change_of_mean(before: Mean, now: Mean, pairs: Covariance) -> Change:
    """now - before with a 95% interval; `pairs` are the images that both samples have."""
    change = now.value - before.value
    covariance = pairs.count * pairs.value / (before.count * now.count)
    variance = before.error**2 + now.error**2 - 2 * covariance
    half = quantile(0.95) * math.sqrt(max(0.0, variance))
    return Change(change, change - half, change + half)
