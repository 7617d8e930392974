"""The section on interventions: each figure over the dataset, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.schema import FIGURES, EvidenceSummary, Figure, Interval, Summary
from tasks.schema.units import POINTS

PARTS = {
    "Predictions that change": ("flips_across", "flips_within"),
    "Probability, in points": ("reliance_removal", "reliance_across", "reliance_within"),
    "Accuracy": (
        *("accuracy", "accuracy_within", "accuracy_across", "class_gap"),
        *("accuracy_background_alone", "accuracy_object_alone"),
    ),
}
OF_EXCHANGES = ("_across", "_within", "_gap")  # suffixes of figures that need donors


@dataclass(frozen=True)
class EvidenceLine:
    """One figure of the section."""

    figure: Figure
    value: Interval | None
    missing: str  # why there is no value

    @property
    def is_difference(self) -> bool:
        return self.figure.unit is POINTS


def evidence_parts(summary: Summary) -> list[tuple[str, list[EvidenceLine]]]:
    """The parts of the section with their figures; none without interventions."""
    evidence = summary.evidence
    if evidence is None:
        return []
    values = summary.by_name()
    return [
        (title, [_line(summary, evidence, values.get(f"evidence.{name}"), name) for name in names])
        for title, names in PARTS.items()
    ]


def _line(summary: Summary, evidence: EvidenceSummary, value: object, name: str) -> EvidenceLine:
    figure = FIGURES[f"evidence.{name}"]
    missing = figure.missing
    if name.startswith(("accuracy", "class_gap")) and not summary.accuracy.of:
        missing = "no labels"
    elif name.endswith(OF_EXCHANGES) and not evidence.donors:
        missing = "there are no donors, so nothing was exchanged"
    elif name in ("accuracy_within", "class_gap") and not evidence.labelled:
        missing = "no donor has a label, so their classes are not known"
    return EvidenceLine(figure, value if isinstance(value, Interval) else None, missing)
