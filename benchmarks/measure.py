"""What every benchmark does: time in turns, give figures with an interval and a goal, print them.

Two or more ways to do a thing take turns in one process, so that noise hits all of them.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from tasks.intervals.bootstrap import Draws, percentile_interval

HEADER = ("figure", "value", "95% interval", "goal", "holds")


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    goal: str = ""  # in words; empty where none was set
    holds: bool | None = None  # None without a goal


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


def ratios(top: Sequence[float], bottom: Sequence[float]) -> list[float]:
    """Round by round, so that what slows a whole round down cancels."""
    return [above / below for above, below in zip(top, bottom, strict=True)]


def median_with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and the 95% bootstrap interval of the median: the rounds are drawn again."""
    sample = np.asarray(values)
    median = float(np.median(sample))
    drawn_R = np.array([np.median(sample[round_n]) for round_n in Draws.of(len(sample)).images()])
    return median, *percentile_interval(median, drawn_R)


def at_most(goal: float | None, name: str, values: Sequence[float], unit: str = "") -> Figure:
    """The median of the rounds, which should not exceed the goal, if there is one."""
    found = median_with_interval(values)
    if goal is None:
        return Figure(name, *found)
    return Figure(name, *found, f"at most {goal:g}{unit}", found[0] <= goal)


def at_least(goal: float | None, name: str, values: Sequence[float], unit: str = "") -> Figure:
    """The median of the rounds, which should reach the goal, if there is one."""
    found = median_with_interval(values)
    if goal is None:
        return Figure(name, *found)
    return Figure(name, *found, f"at least {goal:g}{unit}", found[0] >= goal)


def main(run: Callable[[bool], list[Figure]]) -> None:
    """The command of one benchmark."""
    arguments = make_parser().parse_args()
    print_figures(run(arguments.quick), arguments)


def make_parser(description: str | None = None, prog: str | None = None) -> ArgumentParser:
    """The options that every benchmark has."""
    parser = ArgumentParser(prog, description=description)
    parser.add_argument("--quick", action="store_true", help="under a minute each, rougher")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="an array of rows on stdout")
    form.add_argument("--markdown", action="store_true", help="dated rows for a results.md")
    return parser


def print_figures(figures: Sequence[Figure], arguments: Namespace) -> None:
    """In the form that the options name."""
    if arguments.json:
        text = json.dumps([asdict(figure) for figure in figures], indent=1)
    elif arguments.markdown:
        text = as_markdown(figures)
    else:
        text = as_text(figures)
    sys.stdout.write(text + "\n")


def as_markdown(figures: Sequence[Figure]) -> str:
    """A table with one dated row a figure."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = [("date", *HEADER), ("---",) * (1 + len(HEADER))]
    rows += [(day, *(cell or "-" for cell in _cells(figure))) for figure in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_text(figures: Sequence[Figure]) -> str:
    """The same in aligned columns, for a terminal."""
    rows = [HEADER, *(_cells(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"{figure.low:.3g} to {figure.high:.3g}"
    holds = {True: "yes", False: "NO", None: ""}[figure.holds]
    return figure.name, f"{figure.value:.3g}", interval, figure.goal, holds
