"""Which estimates should donors have, and how much is filled in around an estimate?

    python -m benchmarks.audit.estimate_settings [--quick] [--json]

What was chosen by these figures: the confidence that a donor's estimate needs, and how far more
than the estimate is filled in (tasks/interventions/filled_areas.py). The networks have seeds of
100 and more, which nothing is judged on: two that learnt no shortcut, where 5% should be flagged,
and one with a strong shortcut, which should not be lost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import PropertyMock, patch

import torch

from benchmarks.audit.flags import measure_estimates
from benchmarks.audit.known_classifiers import ClassifierSpec, load_known_classifier
from benchmarks.measure import Figure, main
from tasks.interventions import filled_areas
from tasks.pictures.settings import ForegroundSettings

SPECS = (
    ClassifierSpec("third", "default", 0.1, 101),
    ClassifierSpec("first", "small", 0.25, 101),
    ClassifierSpec("first", "small", 0.9, 101),
)
CHOICES = ((0.0, 0.0), (0.8, 0.0), (0.8, 0.03), (0.8, 0.06), (0.8, 0.09), (0.9, 0.06))
SHOWN = ("flagged", "excess", "lost beyond own", "decided", ": score", ": score within")


def run(quick: bool) -> list[Figure]:
    """By network, and by what donors need and how much more is filled in."""
    specs, choices = (SPECS[1:2], CHOICES[3:4]) if quick else (SPECS, CHOICES)
    return [it for spec in specs for choice in choices for it in _figures(spec, *choice)]


def _figures(spec: ClassifierSpec, confidence: float, missed: float) -> Iterator[Figure]:
    needed = PropertyMock(return_value=confidence)
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(filled_areas, "MISSED", missed),
        patch.object(ForegroundSettings, "donor_confidence", needed),
    ):
        cell = measure_estimates(load_known_classifier(spec), Path(name), twice=False)
    for shown in SHOWN:
        value = cell.get(f"estimates{shown if shown.startswith(':') else f' {shown}'}")
        if value is not None:
            what = f"{spec.name}, donors from {confidence:g}, filled {missed:.0%} more"
            yield Figure(f"{what}: {shown.removeprefix(': ')}", value)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(run)
