"""Mean, interval and histogram of numbers that are seen once and not kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tasks import schema
from tasks.schema.values import quantile

BINS = 24  # of the histogram that is reported
FINE = 48  # counted bins per unit: a histogram from 0 to k/2 consists of whole ones
LIMIT = 100  # a lift is at most 1 / the smallest decidable area


@dataclass
class Moments:
    """Non-negative numbers; the histogram counts everything above the limit as the limit."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0  # sum of the squared deviations from the mean
    fine: np.ndarray = field(default_factory=lambda: np.zeros(FINE * LIMIT, np.int64))

    def add(self, values: np.ndarray) -> None:
        """Chan's update: no difference of large sums, however many values there are."""
        if len(values) == 0:
            return
        values = values.astype(np.float64)
        mean = float(values.mean())
        if self.count:
            apart = mean - self.total / self.count
            weight = self.count * len(values) / (self.count + len(values))
            self.squares += apart * apart * weight
        self.squares += float(((values - mean) ** 2).sum())
        self.count += len(values)
        self.total += float(values.sum())
        bins = np.minimum(values * FINE, len(self.fine) - 1).astype(np.int64)
        self.fine += np.bincount(bins, minlength=len(self.fine))

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def interval(self) -> tuple[float | None, float | None]:
        """95% normal interval of the mean; None below two values."""
        if self.mean is None or self.count < 2:
            return None, None
        half = quantile(0.95) * math.sqrt(self.squares / (self.count - 1) / self.count)
        return self.mean - half, self.mean + half

    def histogram(self) -> schema.Histogram:
        """Bins of equal width from 0 to a round number, at least 2, above 99% of the values."""
        below = np.searchsorted(np.cumsum(self.fine), 0.99 * self.count) + 1
        halves = max(4, math.ceil(2 * int(below) / FINE))
        bins = halves * FINE // 2
        counts = self.fine[:bins].reshape(BINS, -1).sum(1)
        counts[-1] += self.fine[bins:].sum()
        edges = np.linspace(0.0, halves / 2, BINS + 1)
        return schema.Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
