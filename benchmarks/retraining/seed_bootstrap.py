"""Intervals over networks of several seeds and their pictures: both are drawn again, alike for all.

Shapes: R draws, the first of them all as they are; S seeds, N pictures, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure

DRAWS = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """How often each picture of each seed is drawn, and each seed, the same for all rows."""

    count_RN: Floats
    seed_RS: Floats

    @classmethod
    def of(cls, pictures: int, seeds: int) -> Drawn:
        generator = np.random.default_rng(0)
        count_RN = generator.multinomial(pictures, np.full(pictures, 1 / pictures), DRAWS)
        seed_RS = generator.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)
        return cls(
            np.concatenate([np.ones((1, pictures)), count_RN]),
            np.concatenate([np.ones((1, seeds)), seed_RS]) / seeds,
        )

    def means(self, value_N: Floats) -> Floats:
        """(R,): of the values that there are."""
        known_N = np.isfinite(value_N)
        count_RN = self.count_RN[:, : len(value_N)][:, known_N]
        means_R: Floats = count_RN @ value_N[known_N] / count_RN.sum(1)
        return means_R

    def over_seeds(self, value_SR: Floats) -> Floats:
        """(R,): mean of the seeds that are drawn."""
        mean_R: Floats = np.einsum("rs,sr->r", self.seed_RS, value_SR)
        return mean_R

    def worst(self, right_N: Floats, group_GN: Floats) -> Floats:
        """(R,): accuracy of the worst group."""
        rate_RG = (self.count_RN @ (right_N * group_GN).T) / (self.count_RN @ group_GN.T)
        worst_R: Floats = rate_RG.min(1)
        return worst_R


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value_R: Floats) -> Interval:
        low, high = np.quantile(value_R[1:], [0.025, 0.975])
        return cls(float(value_R[0]), float(low), float(high))

    def figure(self, name: str, goal: str = "", holds: bool | None = None) -> Figure:
        return Figure(name, self.value, self.low, self.high, goal, holds)
