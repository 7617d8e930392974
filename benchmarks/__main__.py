"""All benchmarks, or those that are named, one after the other; one table of what they found."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentTypeError
from importlib import import_module
from pathlib import Path

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
    "large-runs": "speed.large_runs",
    "reuse": "speed.reuse",
    "shortcut": "audit.shortcut",
    "foregrounds": "audit.estimated_foregrounds",
    "flags": "audit.flags",
    "estimate-settings": "audit.estimate_settings",
    "maps": "audit.maps",
    "pace": "speed.pace",
    "curves": "speed.curves",
    "compare-methods": "speed.compare_methods_command",
    "steps": "speed.steps",
    "study": "retraining.study",
    "gate": "gate.trials",
    "patterns": "patterns.study",
    "explorer": "explorer.browser",
    "scaling": "scaling.study",
}
OF_PHOTOGRAPHS = {  # the same; they take --photos in place of --quick
    "photographs": "audit.photographs",
    "photograph-foregrounds": "audit.photograph_foregrounds",
    "photograph-audits": "audit.photograph_audits",
    "photograph-retraining": "retraining.photographs",
    "photograph-artefacts": "patterns.photograph_artefacts",
    "photograph-patterns": "patterns.photographs",
}


def main() -> None:
    """The command `python -m benchmarks`."""
    parser = make_parser(__doc__, "python -m benchmarks")
    parser.add_argument(
        "names",
        nargs="*",
        type=_known_name,
        metavar="NAME",
        help=f"of {', '.join((*EXPERIMENTS, *OF_PHOTOGRAPHS))}",
    )
    parser.add_argument("--photos", type=Path, help="folder with table.csv, photographs and masks")
    arguments = parser.parse_args()
    names = arguments.names or _all_names(arguments.photos)
    found = {name: _run(name, arguments.quick, arguments.photos) for name in names}
    if arguments.markdown:
        for name, figures in found.items():
            sys.stdout.write(f"### {name}\n\n{as_markdown(figures)}\n\n")
    else:
        print_figures([figure for figures in found.values() for figure in figures], arguments)


def _known_name(text: str) -> str:
    names = (*EXPERIMENTS, *OF_PHOTOGRAPHS)
    if text not in names:
        raise ArgumentTypeError(f"{text!r} is no benchmark; name one of {', '.join(names)}")
    return text


def _all_names(photos: Path | None) -> list[str]:
    """Says what is left out."""
    if photos is not None:
        return [*EXPERIMENTS, *OF_PHOTOGRAPHS]
    sys.stderr.write(
        f"{', '.join(OF_PHOTOGRAPHS)} are left out: they need --photos DIR, a folder with "
        "table.csv (file_name, label, class_index, mask), photographs and masks\n"
    )
    return list(EXPERIMENTS)


def _run(name: str, quick: bool, photos: Path | None) -> list[Figure]:
    sys.stderr.write(f"benchmarks.{name} ...\n")
    start = time.perf_counter()
    module = import_module(f"benchmarks.{(EXPERIMENTS | OF_PHOTOGRAPHS)[name]}")
    figures: list[Figure] = module.run(photos if name in OF_PHOTOGRAPHS else quick)
    sys.stderr.write(f"benchmarks.{name} took {time.perf_counter() - start:.0f} s\n")
    return figures


if __name__ == "__main__":
    main()
