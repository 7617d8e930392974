"""Two or more ways to do a thing, timed in turns in one process, so that noise hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.measure import Figure

RESAMPLES = 10_000


def cpu_seconds_in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Process CPU time of each way in each round; one round warms up, every second is reversed."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 + rounds):
        names = list(ways) if turn % 2 else list(ways)[::-1]
        for name in names:
            start = time.process_time()
            ways[name]()
            spent = time.process_time() - start
            if turn:
                seconds[name].append(spent)
    return seconds


def median_with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and the 95% bootstrap interval of the median, rounds drawn again with a fixed seed."""
    sample = np.asarray(values)
    drawn = np.random.default_rng(0).choice(sample, (RESAMPLES, len(sample)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(np.median(sample)), float(low), float(high)


def at_most(goal: float | None, name: str, values: Sequence[float], unit: str = "") -> Figure:
    """The median of the rounds, which should not exceed the goal; without one it is only told."""
    value, low, high = median_with_interval(values)
    told = "" if goal is None else f"at most {goal:g}{unit}"
    return Figure(name, value, low, high, told, None if goal is None else value <= goal)


def at_least(goal: float | None, name: str, values: Sequence[float], unit: str = "") -> Figure:
    """The median of the rounds, which should reach the goal; without one it is only told."""
    value, low, high = median_with_interval(values)
    told = "" if goal is None else f"at least {goal:g}{unit}"
    return Figure(name, value, low, high, told, None if goal is None else value >= goal)


def ratios(top: Sequence[float], bottom: Sequence[float]) -> list[float]:
    """Round by round, so that what slows a whole round down cancels."""
    return [above / below for above, below in zip(top, bottom, strict=True)]
