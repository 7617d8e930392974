"""All benchmarks, or those that are named, one after the other; one table of what they found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module

from benchmarks.measure import Figure, table

EXPERIMENTS = {  # short name: where it lives
    "cams": "speed.cams",
    "fused": "speed.fused",
    "interventions": "speed.interventions",
    "throughput": "speed.throughput",
    "orchestration": "speed.orchestration",
    "memory": "speed.memory",
    "reuse": "speed.reuse",
    "shortcut": "audit.shortcut",
    "foregrounds": "audit.estimated_foregrounds",
    "flags": "audit.flags",
    "maps": "audit.maps",
    "pace": "speed.pace",
    "curves": "speed.curves",
    "compare-methods": "speed.compare_methods_command",
    "steps": "speed.steps",
    "study": "retraining.study",
    "gate": "gate.trials",
}
NAMES = tuple(EXPERIMENTS)
HEADER = "| date | figure | value | 95% interval | goal | holds |\n|---|---|---|---|---|---|"


def main() -> None:
    """The command `python -m benchmarks`."""
    arguments = _parse()
    found = {name: _run(name, arguments.quick) for name in arguments.names}
    figures = [figure for own in found.values() for figure in own]
    if arguments.json:
        told = json.dumps([asdict(figure) for figure in figures], indent=1)
    elif arguments.markdown:
        told = "\n".join(f"### {name}\n\n{HEADER}\n{as_rows(own)}\n" for name, own in found.items())
    else:
        told = table(figures)
    sys.stdout.write(told + "\n")


def as_rows(figures: Sequence[Figure]) -> str:
    """One dated row a figure, for README.md."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    return "\n".join(f"| {day} | {' | '.join(_cells(figure))} |" for figure in figures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=NAMES, default=NAMES, help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="each under a minute, rougher")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="an array of rows on stdout")
    form.add_argument("--markdown", action="store_true", help="dated rows for benchmarks/README.md")
    return parser.parse_args()


def _run(name: str, quick: bool) -> list[Figure]:
    sys.stderr.write(f"benchmarks.{name} ...\n")
    start = time.perf_counter()
    figures: list[Figure] = import_module(f"benchmarks.{EXPERIMENTS[name]}").run(quick)
    sys.stderr.write(f"benchmarks.{name} took {time.perf_counter() - start:.0f} s\n")
    return figures


def _cells(figure: Figure) -> tuple[str, ...]:
    interval = "-"
    if figure.low is not None and figure.high is not None:
        interval = f"{figure.low:.3g} to {figure.high:.3g}"
    holds = {True: "yes", False: "NO", None: "-"}[figure.holds]
    return figure.name, f"{figure.value:.3g}", interval, figure.goal or "-", holds


if __name__ == "__main__":
    main()
