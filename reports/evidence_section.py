"""The section on interventions: each figure over the dataset, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.schema import FIGURES, EstimateSummary, EvidenceSummary, Figure, Interval, Summary
from tasks.schema.units import POINTS

PARTS = {
    "Predictions that change": (
        *("flips", "evidence.flips_across", "evidence.flips_within"),
        *("flips_own", "evidence.flips_effect"),
    ),
    "Probability, in points": (
        *("evidence.reliance_removal", "evidence.reliance_across", "evidence.reliance_within"),
        *("reliance_own", "evidence.reliance_effect"),
    ),
    "Accuracy": (
        *("evidence.accuracy", "evidence.accuracy_within", "evidence.accuracy_across"),
        *("evidence.class_gap", "evidence.accuracy_background_alone"),
        "evidence.accuracy_object_alone",
    ),
}
SHOWN = frozenset(name for names in PARTS.values() for name in names)
OF_EXCHANGES = (
    "flips",
    "_across",
    "_within",
    "_gap",
    "_effect",
)  # ends of figures that need donors


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
    if summary.evidence is None:
        return []
    return [
        (title, [evidence_line(summary, name) for name in names]) for title, names in PARTS.items()
    ]


def evidence_line(summary: Summary, name: str) -> EvidenceLine:
    """A figure of what interventions show, by its name in FIGURES."""
    value = summary.by_name().get(name)
    is_known = isinstance(value, Interval)
    return EvidenceLine(
        FIGURES[name],
        value if isinstance(value, Interval) else None,
        "" if is_known else _why_missing(summary, name),
    )


def _why_missing(summary: Summary, name: str) -> str:
    """In words that lead on."""
    evidence, figure = summary.evidence, FIGURES[name]
    if evidence is None:
        return _why_nothing_was_changed(summary)
    if not evidence.images:
        return _why_none_counts(summary.foreground.estimates)
    if name.startswith(("evidence.accuracy", "evidence.class_gap")) and not summary.accuracy.of:
        return "no image has a label: give a table with labels, or class folders"
    if name.endswith(OF_EXCHANGES):
        reason = _why_no_exchange(evidence, name, summary.foreground.estimates)
        if reason:
            return reason
    return figure.missing + (f": {figure.remedy}" if figure.remedy else "")


def _why_nothing_was_changed(summary: Summary) -> str:
    if summary.foreground.source == "none" and summary.foreground.estimates is None:
        return "the data has no foreground: give --masks, boxes or --foreground estimate"
    return "no picture was changed, as --interventions none asks: leave it out"


def _why_none_counts(estimates: EstimateSummary | None) -> str:
    if estimates is None or not estimates.unsure:
        return "no foreground covers between 1% and 95% of its picture: look at the masks"
    return (
        "no estimated foreground that is sure enough covers between 1% and 95% of its picture: "
        "annotate some images, or lower --foreground-confidence"
    )


def _why_no_exchange(
    evidence: EvidenceSummary, name: str, estimates: EstimateSummary | None
) -> str:
    if not evidence.donors:
        sure = "" if estimates is None else ", and is no unsure estimate"
        return (
            "no picture could be a donor, so nothing was exchanged: the foreground of a donor "
            f"covers at most 60% of its picture{sure}"
        )
    if name in ("evidence.accuracy_within", "evidence.class_gap") and not evidence.labelled:
        return "no donor has a label, so their classes are not known: give labels"
    if name == "flips" and _had_other_donors(evidence):
        return "this audit is of an older version: run the same command again"
    return ""


def _had_other_donors(evidence: EvidenceSummary) -> bool:
    """Whether some image was put on the background of another class; without labels, of any."""
    if evidence.labelled:
        return evidence.accuracy_across is not None
    return evidence.flips_across is not None or evidence.flips_within is not None
