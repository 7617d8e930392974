"""All benchmarks, or those that are named, one after the other; one table of what they found."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentTypeError
from importlib import import_module

from benchmarks.measure import Figure, as_markdown, make_parser, print_figures

EXPERIMENTS = {  # short name: where it lives
    "cams": "speed.cams",
    "fused": "speed.fused",
    "interventions": "speed.interventions",
    "throughput": "speed.throughput",
    "start": "speed.start",
    "orchestration": "speed.orchestration",
    "memory": "speed.memory",
    "many-classes": "speed.many_classes",
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
    "patterns": "patterns.study",
}


def main() -> None:
    """The command `python -m benchmarks`."""
    parser = make_parser(__doc__, "python -m benchmarks")
    parser.add_argument(
        "names",
        nargs="*",
        type=_known_name,
        metavar="NAME",
        help=f"of {', '.join(EXPERIMENTS)}",
    )
    arguments = parser.parse_args()
    found = {name: _run(name, arguments.quick) for name in arguments.names or EXPERIMENTS}
    if arguments.markdown:
        for name, figures in found.items():
            sys.stdout.write(f"### {name}\n\n{as_markdown(figures)}\n\n")
    else:
        print_figures([figure for figures in found.values() for figure in figures], arguments)


def _known_name(text: str) -> str:
    if text not in EXPERIMENTS:
        raise ArgumentTypeError(f"{text!r} is no benchmark; name one of {', '.join(EXPERIMENTS)}")
    return text


def _run(name: str, quick: bool) -> list[Figure]:
    sys.stderr.write(f"benchmarks.{name} ...\n")
    start = time.perf_counter()
    figures: list[Figure] = import_module(f"benchmarks.{EXPERIMENTS[name]}").run(quick)
    sys.stderr.write(f"benchmarks.{name} took {time.perf_counter() - start:.0f} s\n")
    return figures


if __name__ == "__main__":
    main()
