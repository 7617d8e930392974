"""A change in words: worse, better, moved, or nothing that the numbers can show."""

from __future__ import annotations

from collections.abc import Sequence

from tasks import schema
from tasks.compare.figures import FigureQuery, FigureValue
from tasks.intervals.bootstrap import fewest
from tasks.intervals.paired_rates import Change
from tasks.schema.units import Unit, with_sign

ORDER = ("worse", "better", "unchanged")
MOST_DIGITS = 6


def judge_change(query: FigureQuery, found: FigureValue) -> schema.PairedFigure:
    """Worse or better only if the interval leaves out 0 and enough of the images differ."""
    figure = query.definition
    higher = bool(figure.higher_is_better)
    verdict: schema.Verdict = "unchanged"
    if found.excludes_zero and found.differ >= fewest(query.confidence):
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


def describe_change(change: Change, unit: Unit, verb: str | None, doubt: str = "") -> str:
    """`worse by −6.0 points (−9.0 to −3.0)`, claiming no more than the interval does; without a
    verb, that no change can be shown, and the doubt that keeps an interval from showing one."""
    unit = unit.of_change
    digits = unit.digits
    nearest = unit.factor * min(abs(change.low), abs(change.high))
    while verb is not None and digits < MOST_DIGITS and not round(nearest, digits):
        digits += 1  # no interval that leaves out 0 ends in a 0
    value, low, high = (
        with_sign(unit.factor * number, digits)
        for number in (change.value, change.low, change.high)
    )
    if verb is not None:
        return f"{verb} by {value}{unit.suffix} ({low} to {high})"
    return f"no change that these numbers can show ({low} to {high}{unit.suffix}{doubt})"


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
