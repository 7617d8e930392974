"""Patterns that are new, gone, grown or shrunk: rows for pages and terminals, and a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.schema import PATTERN_CHANGES, PatternChange, PatternThen
from tasks.schema.units import percent, points


@dataclass(frozen=True)
class PatternRow:
    """One pattern, then and now."""

    id: str
    name: str
    pulls_to: str
    before: str
    after: str
    is_clear: bool
    sentence: str


def pattern_rows(changes: Sequence[PatternChange]) -> list[PatternRow]:
    """In their order, the new ones first."""
    return [_row(change) for change in changes]


def describe_patterns(changes: Sequence[PatternChange]) -> str:
    """How many patterns one of the runs confirmed, by kind."""
    if not changes:
        return "none is confirmed, then or now"
    counts = Counter(change.kind for change in changes)
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in PATTERN_CHANGES if counts[kind])
    return f"{len(changes)} confirmed, then or now: {kinds}"


def _row(change: PatternChange) -> PatternRow:
    identity = change.now or change.before
    return PatternRow(
        "" if identity is None else identity.id,
        change.name,
        change.pulls_to,
        _cell(change.before),
        _cell(change.now),
        change.kind != "unchanged",
        change.sentence,
    )


def _cell(then: PatternThen | None) -> str:
    """`24.9%, +81.0 points`: of the images, and how much more is predicted as the class."""
    if then is None:
        return "–"
    share = percent(then.share.value)
    return share if then.effect is None else f"{share}, {points(then.effect.value)} points"
