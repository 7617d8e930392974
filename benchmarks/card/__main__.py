"""What one GPU does with all that a CPU does, in under six minutes.

    python -m benchmarks.card [--json|--markdown]

Every method, an audit with changed pictures and a retraining, in float32 and bfloat16, beside the
CPU's figures; images a second of a pass, of decoding and of the whole audit, beside a bare loop;
memory, the batch that is found, one worker a card, and a batch that does not fit. Each stage has a
budget: where it runs out, what was reached is printed, and the rest is named as not measured.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.card.audits import (
    measure_audit,
    measure_decoding,
    measure_figures,
    measure_halving,
    measure_workers,
)
from benchmarks.card.passes import measure_methods, measure_passes
from benchmarks.card.setup import Scale, Setup
from benchmarks.card.training import measure_training
from benchmarks.measure import Figure, make_parser, print_figures
from models.classifier.preprocessing_sources import IMAGENET

WHOLE = Scale(
    address="torchvision:resnet50",
    preprocessing=IMAGENET,
    files=256,
    rows=4_096,
    compared=4,
    timed=32,
    largest=1_024,
    masks=100,
    steps=60,
    rounds=3,
)


@dataclass(frozen=True)
class Stage:
    """Something that is measured, figure by figure, for so many seconds at most."""

    measure: Callable[[Setup], Iterator[Figure]]
    budget: float


STAGES: Mapping[str, Stage] = {
    "passes": Stage(measure_passes, 50),
    "decoding": Stage(measure_decoding, 20),
    "figures": Stage(measure_figures, 30),
    "training": Stage(measure_training, 40),
    "halving": Stage(measure_halving, 20),
    "workers": Stage(measure_workers, 20),
    "audit": Stage(measure_audit, 90),
    "methods": Stage(measure_methods, 60),
}


def measure(setup: Setup, stages: Mapping[str, Stage] = STAGES) -> Iterator[Figure]:
    """All that the stages reach in their budgets."""
    for name, stage in stages.items():
        start = time.monotonic()
        for figure in stage.measure(setup):
            yield figure
            if time.monotonic() - start > stage.budget:
                sys.stderr.write(
                    f"card: {name} has used its {stage.budget:g} s; after {figure.name!r} nothing "
                    "of it was measured\n"
                )
                break
        sys.stderr.write(f"card: {name} took {time.monotonic() - start:.0f} s\n")


def main() -> None:
    """The command."""
    arguments = make_parser(__doc__, "python -m benchmarks.card").parse_args()
    if not torch.cuda.is_available():
        sys.exit(
            "card: no card: not measured; it needs an NVIDIA GPU and a torch with CUDA "
            f"(docs/install.md; this one is {torch.__version__})"
        )
    with tempfile.TemporaryDirectory() as folder:
        figures = list(measure(Setup("cuda", Path(folder), WHOLE)))
    print_figures(figures, arguments)


if __name__ == "__main__":
    main()
