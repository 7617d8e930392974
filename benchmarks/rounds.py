"""Two or more ways to do a thing, timed in turns in one process, so that noise hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.measure import Figure
from tasks.intervals.bootstrap import Draws, percentile_interval


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
    """Median and the 95% bootstrap interval of the median: the rounds are drawn again."""
    sample = np.asarray(values)
    median = float(np.median(sample))
    drawn_R = np.array([np.median(sample[round_n]) for round_n in Draws.of(len(sample)).images()])
    return median, *percentile_interval(median, drawn_R)


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
