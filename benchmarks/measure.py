"""What every benchmark gives: figures with an interval and, where one was set, a goal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

HEADER = ("name", "value", "low", "high", "goal", "holds")


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    low: float | None
    high: float | None
    goal: str  # in words; empty where none was set
    holds: bool | None  # None without a goal


def main(run: Callable[[bool], list[Figure]]) -> None:
    """The command of a benchmark: a table, or with --json an array of the same rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    parser.add_argument("--json", action="store_true", help="an array of rows on stdout")
    arguments = parser.parse_args()
    figures = run(arguments.quick)
    if arguments.json:
        text = json.dumps([asdict(figure) for figure in figures], indent=1)
    else:
        text = table(figures)
    sys.stdout.write(text + "\n")


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns, one line a figure."""
    lines = [HEADER, *(_cells(figure) for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(figure: Figure) -> tuple[str, ...]:
    holds = {True: "yes", False: "NO", None: ""}[figure.holds]
    numbers = (_number(value) for value in (figure.value, figure.low, figure.high))
    return (figure.name, *numbers, figure.goal, holds)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Numbers to the right, words to the left."""
    cells = (
        cell.rjust(width) if 1 <= column <= 3 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
