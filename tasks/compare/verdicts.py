"""A change in words: worse, better, moved, or nothing that the numbers can show."""

from __future__ import annotations

from collections.abc import Sequence

from tasks import schema
from tasks.compare.figures import FigureQuery, FigureValue
from tasks.intervals.change import describe_change
from tasks.intervals.paired_rates import fewest_that_differ
from tasks.schema.units import Unit

ORDER = ("worse", "better", "unchanged")


def judge_change(query: FigureQuery, found: FigureValue) -> schema.PairedFigure:
    """Worse or better only if the interval leaves out 0 and enough of the images differ."""
    figure = query.definition
    higher = bool(figure.higher_is_better)
    verdict: schema.Verdict = "unchanged"
    if found.excludes_zero and found.differ >= fewest_that_differ(query.confidence):
        verdict = "better" if (found.value > 0) == higher else "worse"
    return schema.PairedFigure(
        figure=query.figure,
        name=query.label if query.method is None else query.method,
        before=found.before,
        after=found.after,
        change=found.value,
        low=found.low,
        high=found.high,
        of=found.of,
        differ=found.differ,
        higher_is_better=higher,
        verdict=verdict,
        sentence=_describe_verdict(figure.unit, found, verdict),
        note=found.note,
    )


def _describe_verdict(unit: Unit, found: FigureValue, verdict: schema.Verdict) -> str:
    if verdict != "unchanged":
        return describe_change(found, unit, verdict)
    doubt = f"; only {found.differ} images differ" if found.excludes_zero else ""
    return describe_change(found, unit, None, doubt)


def summarise_verdicts(figures: Sequence[schema.PairedFigure]) -> str:
    """What is worse, what is better, how much shows no change."""
    if not figures:
        return "No figure could be compared."
    parts = [
        f"{verdict.capitalize()}: {', '.join(map(_words, found))}."
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


def _words(figure: schema.PairedFigure) -> str:
    words = schema.FIGURES[figure.figure].words
    return words if figure.name is None else f"{words} of {figure.name}"
