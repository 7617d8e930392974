"""What was found of patterns, in sentences for the page, a terminal, a log and Markdown."""

from __future__ import annotations

from reports.formatting import count_of, points_interval
from tasks.schema import Pattern, PatternSummary, Summary
from tasks.schema.units import points


def count_patterns(found: PatternSummary) -> str:
    """How many patterns are confirmed, in one sentence."""
    if not found.candidates:
        return (
            "No pattern was found: no images that are alike are predicted as one class, without "
            "their objects, more often than others."
        )
    candidates, confirmed = count_of(len(found.candidates), "candidate"), len(found.confirmed)
    if not confirmed:
        return f"No pattern is confirmed, of {candidates}."
    verb = "is" if confirmed == 1 else "are"
    return f"{count_of(confirmed, 'pattern')} {verb} confirmed, of {candidates}."


def pattern_lines(summary: Summary) -> list[str]:
    """For a terminal or a log: a line for each confirmed pattern, or one that there is none."""
    found = summary.patterns
    if found is None:
        return []
    if not found.candidates:
        return ["patterns: none found"]
    if not found.confirmed:
        return [f"patterns: none confirmed of {count_of(len(found.candidates), 'candidate')}"]
    return [f"pattern: {_describe(it)}" for it in found.confirmed]


def _describe(pattern: Pattern) -> str:
    """Its name, the class and the effect."""
    effect = pattern.effect
    assert effect is not None  # it is confirmed
    return (
        f"{pattern.id}, {pattern.name}, pulls to {pattern.pulls_to}: {points(effect.value)} points "
        f"({points_interval(effect)})"
    )
