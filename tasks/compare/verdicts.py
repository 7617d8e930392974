"""A change of one figure, weighed: worse, better, or nothing that the numbers can show; in words.

Shapes: n images, 2 is before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks import schema
from tasks.intervals.bootstrap import Floats
from tasks.intervals.change import PLAIN, POINTS, Change, describe_change
from tasks.intervals.paired_rates import fewest_that_differ

ORDER = ("worse", "better", "unchanged")


@dataclass(frozen=True)
class Subject:
    """Which figure, of what, and how sure its interval must be."""

    figure: str
    name: str | None = None
    confidence: float = 0.95
    note: str = ""


def weighed(
    subject: Subject, value_n2: Floats, ends: tuple[float, float], change: Change
) -> schema.PairedFigure:
    """Worse or better only if the interval leaves out 0 and enough of the images differ."""
    differ = int((value_n2[:, 0] != value_n2[:, 1]).sum())
    higher = subject.figure in schema.BETTER_WHEN_HIGHER
    sure = change.excludes_zero and differ >= fewest_that_differ(subject.confidence)
    verdict: schema.Verdict = "unchanged"
    if sure:
        verdict = "better" if (change.value > 0) == higher else "worse"
    return schema.PairedFigure(
        figure=subject.figure,
        name=subject.name,
        before=ends[0],
        after=ends[1],
        change=change.value,
        low=change.low,
        high=change.high,
        of=len(value_n2),
        differ=differ,
        higher_is_better=higher,
        verdict=verdict,
        sentence=_sentence(subject.figure, change, verdict, differ),
        note=subject.note,
    )


def _sentence(figure: str, change: Change, verdict: schema.Verdict, differ: int) -> str:
    """The change, claiming no more than its interval and the images that differ do."""
    return describe_change(
        change,
        PLAIN if figure == "lift" else POINTS,
        None if verdict == "unchanged" else verdict,
        f"; only {differ} images differ" if change.excludes_zero else "",
    )


def sentence_of(figures: Sequence[schema.PairedFigure]) -> str:
    """The verdict: what is worse, what is better, how much shows no change."""
    if not figures:
        return "No figure could be compared."
    parts = [
        f"{verdict.capitalize()}: {', '.join(map(_title, found))}."
        for verdict in ("worse", "better")
        if (found := [it for it in figures if it.verdict == verdict])
    ]
    same = sum(it.verdict == "unchanged" for it in figures)
    if not parts:
        return f"None of {len(figures)} figures shows a change."
    if same:
        parts.append(
            f"{same} of {len(figures)} figures {'show' if same > 1 else 'shows'} no change."
        )
    return " ".join(parts)


def _title(figure: schema.PairedFigure) -> str:
    words = schema.PAIRED_FIGURES[figure.figure]
    return words if figure.name is None else f"{words} of {figure.name}"
