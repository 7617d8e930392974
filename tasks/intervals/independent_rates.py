"""Newcombe's interval for the difference of two independent rates, for many pairs at once.

As change_of_rate of paired_rates.py without shared images (Newcombe 1998, method 10), on arrays of
any shape; NaN where either rate is of no image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.intervals.bootstrap import Floats, Indices
from tasks.schema.values import quantile


@dataclass(frozen=True, eq=False)
class Shares:
    """Rates, as how many images of how many."""

    count: Indices
    of: Indices

    @property
    def rate(self) -> Floats:
        unknown = np.full(self.of.shape, np.nan)
        rate: Floats = np.divide(self.count, self.of, where=self.of > 0, out=unknown)
        return rate

    def ends(self, confidence: float) -> tuple[Floats, Floats]:
        """Wilson's intervals."""
        z, rate = quantile(confidence), self.rate
        weight = z * z / np.maximum(self.of, 1)
        centre = (rate + weight / 2) / (1 + weight)
        spread = np.sqrt(rate * (1 - rate) * weight + weight * weight / 4) / (1 + weight)
        return centre - spread, centre + spread


def differences(here: Shares, elsewhere: Shares, confidence: float) -> tuple[Floats, Floats]:
    """The ends of the intervals of here - elsewhere."""
    here_low, here_high = here.ends(confidence)
    there_low, there_high = elsewhere.ends(confidence)
    value = here.rate - elsewhere.rate
    down = np.hypot(here.rate - here_low, there_high - elsewhere.rate)
    up = np.hypot(here_high - here.rate, elsewhere.rate - there_low)
    return value - down, value + up
