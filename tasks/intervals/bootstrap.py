"""Bootstrap intervals over images: what other images of the same kind would show.

The images are resampled with replacement DRAWS times. A draw is stored as how often each image
occurs in it, so the mean, share or ratio of a draw is a weighted one. With more than UNITS images,
blocks of images formed at random are resampled instead, so that a draw costs no more. The draws
depend only on the number of images, which pairs everything computed over the same images: two
sides, two models, all methods. Shapes: N images, n some of them, U units that are resampled, R
draws of which r are made at once, F figures, 2 is before and after.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.intervals.change import Change
from tasks.schema import Interval
from tasks.schema.values import quantile

DRAWS = 2000
UNITS = 2000
SEED = 0
BLOCK = 1 << 22  # image weights held at once

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each unit occurs in each draw, and which unit each image belongs to."""

    count_RU: Floats
    unit_N: Indices

    @classmethod
    def of(cls, images: int) -> Draws:
        """The draws for this number of images, always the same."""
        units = min(images, UNITS)
        generator = np.random.default_rng(SEED)
        count_RU = np.empty((DRAWS, units))
        for rows in _blocks(DRAWS, units):
            shape = count_RU[rows].shape
            drawn_rU = generator.integers(max(1, units), size=shape)
            drawn_rU += np.arange(len(drawn_rU))[:, None] * units
            count_RU[rows] = np.bincount(drawn_rU.ravel(), minlength=drawn_rU.size).reshape(shape)
        if images <= UNITS:
            return cls(count_RU, np.arange(images))
        return cls(count_RU, generator.permutation(images) % units)

    def sums(self, value_N: NDArray[np.generic]) -> Floats:
        """(R,): the sum over the images of each draw."""
        total_U = np.bincount(self.unit_N, value_N, self.count_RU.shape[1])
        sums_R: Floats = self.count_RU @ total_U
        return sums_R

    def means(self, value_N: NDArray[np.floating]) -> Floats:
        """(R,): over the images of each draw that have the figure; NaN where none has it."""
        known_N = np.isfinite(value_N)
        count_R = self.sums(known_N)
        return self.sums(np.where(known_N, value_N, 0)) / np.where(count_R > 0, count_R, np.nan)

    def weights(self, image_n: Indices) -> Iterator[tuple[slice, Floats]]:
        """Block by block, which draws it holds, and (r, n) how often some images occur in them."""
        for rows in _blocks(len(self.count_RU), len(image_n)):
            yield rows, self.count_RU[rows][:, self.unit_N[image_n]]

    def images(self) -> Iterator[Indices]:
        """(n,): the images of each draw in turn, for statistics that take no weights."""
        for count_U in self.count_RU.astype(np.int64):
            yield np.repeat(np.arange(len(self.unit_N)), count_U[self.unit_N])

    def order_statistics(self, value_N: Floats, rank_R: Floats) -> Floats:
        """(R,): the value of the given rank in each draw; the smallest has rank 1.

        Most images lie below it in all draws or above it in all: only the others are weighed.
        """
        order_N = np.argsort(value_N, kind="stable")
        position_N = np.argsort(order_N)

        def missing_R(smallest: int) -> Floats:
            """How far each draw is from its rank when it takes this many of the smallest images."""
            return rank_R - self.sums(position_N < smallest)

        counts = range(len(order_N))
        first = bisect_left(counts, True, key=lambda count: bool((missing_R(count) <= 0).any()))
        last = bisect_left(counts, True, key=lambda count: bool((missing_R(count) <= 0).all()))
        between_n, more_R = order_N[first - 1 : last], missing_R(first - 1)
        index_R = np.concatenate(
            [
                (weight_rn.cumsum(1) < more_R[rows, None]).sum(1)
                for rows, weight_rn in self.weights(between_n)
            ]
        )
        value_R: Floats = value_N[between_n[index_R]]
        return value_R

    def counts_above(self, value_N: Floats, threshold_R: Floats) -> Floats:
        """(R,): images of each draw above that draw's own threshold."""
        lowest, highest = threshold_R.min(), threshold_R.max()
        between_n = np.flatnonzero((value_N > lowest) & (value_N <= highest))
        between_R = np.concatenate(
            [
                (weight_rn * (value_N[between_n] > threshold_R[rows, None])).sum(1)
                for rows, weight_rn in self.weights(between_n)
            ]
        )
        above_R: Floats = self.sums(value_N > highest) + between_R
        return above_R


def percentile_interval(
    value: float, drawn_R: Floats, confidence: float = 0.95
) -> tuple[float, float]:
    """The ends of the middle 95% of the draws, stretched where needed to include the value.

    For another confidence their distances from the value are scaled as a normal distribution's
    would be: too few draws lie that far out in the tails.
    """
    low, high = np.nanquantile(drawn_R, [0.025, 0.975])
    wider = quantile(confidence) / quantile(0.95)
    down, up = max(0.0, value - float(low)), max(0.0, float(high) - value)
    return value - wider * down, value + wider * up


def bootstrap_mean(value_N: Floats, confidence: float = 0.95) -> Change:
    """The mean over images, as a change from 0."""
    value = float(value_N.mean())
    return Change(
        value, *percentile_interval(value, Draws.of(len(value_N)).means(value_N), confidence)
    )


def change_of_means(value_N2: Floats, confidence: float = 0.95) -> Change:
    """The change of the mean over images."""
    return bootstrap_mean(value_N2[:, 1] - value_N2[:, 0], confidence)


def bootstrap_means(value_NF: NDArray[np.floating]) -> list[Interval | None]:
    """The mean of each column over the images that have it."""
    draws = Draws.of(len(value_NF))
    return [mean_of_known(value_N, draws) for value_N in value_NF.T.astype(np.float64)]


def mean_of_known(value_N: Floats, draws: Draws) -> Interval | None:
    """The mean over the images that have the figure; None where none has it."""
    known_N = np.isfinite(value_N)
    if not known_N.any():
        return None
    value = float(value_N[known_N].mean())
    low, high = percentile_interval(value, draws.means(value_N))
    return Interval(value=value, low=low, high=high, of=int(known_N.sum()))


def _blocks(draws: int, images: int) -> Iterator[slice]:
    """Ranges of draws whose weights for this many images fit into a block."""
    step = max(1, BLOCK // max(1, images))
    for start in range(0, draws, step):
        yield slice(start, min(start + step, draws))
