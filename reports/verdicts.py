"""The figures of two models side by side, in words."""

from __future__ import annotations

from reports.formatting import count_of, decimal, percent, points
from tasks.schema import PAIRED_FIGURES, PairedFigure, PairedSummary, Turn

MEANINGS = {
    "accuracy": "Of the pictures as they are.",
    "accuracy_exchanged": "Share of exchanges with pictures of other classes after which the label "
    "is still predicted. Cutting and pasting alone costs some of it, in both models.",
    "worst_group": "The lowest accuracy among groups of enough images, looked for in each model. "
    "The lowest of many is low by chance, too.",
    "flips": "Share of exchanges with pictures of other classes that change the prediction, right "
    "or wrong.",
    "flagged": "Of the images that both audits decide. Each model has a threshold of its own, "
    "which is taken as given here.",
    "excess": "Flagged less what the null flags of the same images. The thresholds are as "
    "uncertain as the rates, and the interval knows it.",
    "reliance_exchange": "Of the class predicted at first. A model that is less sure of everything "
    "has less to lose.",
    "reliance_removal": "Probability with the object removed, less that with the background "
    "removed: above 0 the background alone convinces more.",
    "lift": "Energy of the map on the object, divided by the object's part of the picture. A map "
    "certifies nothing.",
}
TURNED: dict[Turn, tuple[str, str]] = {
    "broken": ("Broken", "right before, wrong after"),
    "newly_flagged": ("Newly flagged", "rests on the background after, and did not before"),
    "fixed": ("Fixed", "wrong before, right after"),
    "no_longer_flagged": ("No longer flagged", "rested on the background before only"),
}
DIFFERENCES = ("excess", "reliance_exchange", "reliance_removal")  # told in points


def title(figure: str) -> str:
    words = PAIRED_FIGURES[figure]
    return words[0].upper() + words[1:]


def value(figure: str, number: float) -> str:
    """As the figure's kind is told."""
    if figure == "lift":
        return decimal(number)
    return points(number) if figure in DIFFERENCES else percent(number)


def headline(paired: PairedSummary) -> str:
    """The verdict as a number of figures; what is worse comes first."""
    worse, better = (
        sum(it.verdict == verdict for it in paired.figures) for verdict in ("worse", "better")
    )
    if not paired.figures:
        return "Nothing could be compared."
    of = f"of {count_of(len(paired.figures), 'figure')}"
    if worse:
        return f"{worse} {of} {_is(worse)} worse, {better or 'none'} {_is(better)} better."
    if better:
        return f"{better} {of} {_is(better)} better, none is worse."
    return f"None {of} shows a change."


def by_verdict(figures: tuple[PairedFigure, ...]) -> list[tuple[str, list[PairedFigure]]]:
    """Groups with a heading, regressions first; those without a figure are left out."""
    headings = {"worse": "Worse", "better": "Better", "unchanged": "No change shown"}
    groups = [
        (heading, [it for it in figures if it.verdict == verdict])
        for verdict, heading in headings.items()
    ]
    return [(heading, found) for heading, found in groups if found]


def _is(count: int) -> str:
    return "are" if count > 1 else "is"
