"""Figures that count patterns: a count has no interval, it is at most the limit or it is not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from models.errors import list_names
from tasks.compare.figures import FigureResult, FigureValue
from tasks.compare.pattern_changes import compare_patterns
from tasks.runs.reader import Run
from tasks.schema import FIGURES, MissingFigure, PatternChange, PatternSummary

NAMED = 8  # patterns that a reason names


@dataclass(frozen=True)
class PatternEvidence:
    """The patterns that rules are applied to; None where an audit looked for none."""

    candidate: PatternSummary | None = None
    since_champion: tuple[PatternChange, ...] | None = None

    @classmethod
    def of(cls, candidate: Run, champion: Run | None) -> PatternEvidence:
        found = candidate.summary().patterns
        if champion is None:
            return cls(found)
        return cls(found, compare_patterns(champion, champion.summary().patterns, candidate, found))


NO_PATTERNS = PatternEvidence()


def count_patterns(
    figure: str, evidence: PatternEvidence, classes: Collection[str] | None
) -> FigureResult:
    """Those that pull to one of the classes, or all; over all images that were searched."""
    found, definition = evidence.candidate, FIGURES[figure]
    if found is None or (definition.needs_champion and evidence.since_champion is None):
        reason = f"{definition.missing}: {definition.remedy}"
        return MissingFigure(figure=figure, name=None, reason=reason)
    chosen = [
        name
        for name, pulls_to in _named(evidence, new=definition.needs_champion)
        if classes is None or pulls_to in classes
    ]
    count = float(len(chosen))
    note = list_names(chosen, NAMED) if chosen else ""
    return FigureValue(count, count, count, sum(found.halves), note=note)


def _named(evidence: PatternEvidence, *, new: bool) -> Iterator[tuple[str, str]]:
    """The name of each pattern, and the class that it pulls to."""
    if new:
        for change in evidence.since_champion or ():
            if change.kind == "new" and change.now is not None:
                yield f"{change.now.id} {change.name} (to {change.pulls_to})", change.pulls_to
    elif evidence.candidate is not None:
        for it in evidence.candidate.confirmed:
            yield f"{it.id} {it.name} (to {it.pulls_to})", it.pulls_to
