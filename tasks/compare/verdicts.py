"""A change in words: worse, better, moved, or nothing that the numbers can show."""

from __future__ import annotations

from collections.abc import Sequence

from tasks import schema
from tasks.compare.figures import FigureQuery, FigureValue
from tasks.intervals.change import describe_change
from tasks.intervals.paired_rates import fewest_that_differ
from tasks.schema.units import Unit

ORDER = ("worse", "better", "unchanged")


def judge_change(query: FigureQuery, change: FigureValue) -> schema.PairedFigure:
    """Worse or better only if the interval excludes 0 and enough of the images differ."""
    figure = query.definition
    higher = bool(figure.higher_is_better)
    verdict: schema.Verdict = "unchanged"
    if change.excludes_zero and change.differ >= fewest_that_differ(query.confidence):
        verdict = "better" if (change.value > 0) == higher else "worse"
    return schema.PairedFigure(
        figure=query.figure,
        name=query.name,
        before=change.before,
        after=change.after,
        change=change.value,
        low=change.low,
        high=change.high,
        of=change.of,
        differ=change.differ,
        higher_is_better=higher,
        verdict=verdict,
        sentence=_describe_verdict(figure.unit, change, verdict),
        note=change.note,
    )


def _describe_verdict(unit: Unit, change: FigureValue, verdict: schema.Verdict) -> str:
    if verdict != "unchanged":
        return describe_change(change, unit, verdict)
    doubt = f"; only {change.differ} images differ" if change.excludes_zero else ""
    return describe_change(change, unit, None, doubt)


def summarise_verdicts(figures: Sequence[schema.PairedFigure]) -> str:
    """Which figures are worse, which are better, and how many show no change."""
    if not figures:
        return "No figure could be compared."
    parts = [
        f"{verdict.capitalize()}: {', '.join(map(_subject, named))}."
        for verdict in ("worse", "better")
        if (named := [figure for figure in figures if figure.verdict == verdict])
    ]
    same = sum(figure.verdict == "unchanged" for figure in figures)
    if not parts:
        return f"None of {len(figures)} figures shows a change."
    if same:
        parts.append(
            f"{same} of {len(figures)} figures {'show' if same > 1 else 'shows'} no change."
        )
    return " ".join(parts)


def _subject(figure: schema.PairedFigure) -> str:
    words = schema.FIGURES[figure.figure].words
    return words if figure.name is None else f"{words} of {figure.name}"
