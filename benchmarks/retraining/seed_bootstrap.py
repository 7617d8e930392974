"""Intervals over networks of several seeds and their pictures: both are drawn again, alike for all.

Shapes: R draws, the first of them all as they are; S seeds, N pictures, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure
from tasks.intervals.bootstrap import UNITS, Draws, Floats, percentile_interval


@dataclass(frozen=True, eq=False)
class Drawn:
    """How often each picture of each seed is drawn, and each seed, the same for all rows."""

    count_RN: Floats
    seed_RS: Floats

    @classmethod
    def of(cls, pictures: int, seeds: int) -> Drawn:
        return cls(_and_draws(pictures), _and_draws(seeds) / seeds)

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
        """(R,): accuracy of the worst group; one that a draw leaves out is not the worst."""
        count_RG = self.count_RN @ group_GN.T
        right_RG = self.count_RN @ (right_N * group_GN).T
        rate_RG = np.divide(right_RG, count_RG, np.ones_like(right_RG), where=count_RG > 0)
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
        value = float(value_R[0])
        return cls(value, *percentile_interval(value, value_R[1:]))

    def figure(self, name: str, goal: str = "", holds: bool | None = None) -> Figure:
        return Figure(name, self.value, self.low, self.high, goal, holds)


def _and_draws(units: int) -> Floats:
    """(R, units): all of them once, then how often each comes in each draw."""
    assert units <= UNITS, units  # each is drawn by itself
    return np.concatenate([np.ones((1, units)), Draws.of(units).count_RU])
