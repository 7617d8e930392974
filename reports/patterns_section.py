"""The section on what predictions rest on: a card per pattern, a line for each other candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.heatmaps import outline
from reports.pattern_sentences import count_patterns
from reports.rendering import thumbnail_address
from tasks.schema import (
    Pattern,
    PatternExemplar,
    PatternPictures,
    PatternRecipient,
    PatternSummary,
    PutPicture,
    Summary,
)
from tasks.schema.patterns import LEAST_EFFECT, LEVEL

FEW = 5  # other candidates that are not folded


@dataclass(frozen=True)
class ExemplarCard:
    """An exemplar with the data URL of its picture."""

    exemplar: PatternExemplar
    picture: str
    is_outlined: bool


@dataclass(frozen=True)
class Put:
    """A picture of a strip: what was changed, and what it is predicted as then."""

    change: str  # in words
    prediction: str
    picture: str  # data URL
    background: str | None  # row_id of the other picture


@dataclass(frozen=True)
class Strip:
    """A recipient as it is, with the pattern and without."""

    recipient: PatternRecipient
    pictures: tuple[Put, ...]


@dataclass(frozen=True)
class PatternCard:
    """A pattern with its pictures."""

    pattern: Pattern
    exemplars: tuple[ExemplarCard, ...]
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class PatternsSection:
    """All candidates: those with a card, and the others."""

    found: PatternSummary
    finding: str
    cards: tuple[PatternCard, ...]
    others: tuple[Pattern, ...]
    is_folded: bool
    level: float = LEVEL
    least_effect: float = LEAST_EFFECT


def patterns_section(
    summary: Summary, pictures: Sequence[PatternPictures]
) -> PatternsSection | None:
    """None where no pattern was looked for."""
    found = summary.patterns
    if found is None:
        return None
    by_pattern = {it.pattern: it for it in pictures}
    others = tuple(it for it in found.candidates if it not in found.shown)
    return PatternsSection(
        found,
        count_patterns(found),
        tuple(_card(it, by_pattern.get(it.id)) for it in found.shown),
        others,
        is_folded=len(others) > FEW,
    )


def _card(pattern: Pattern, pictures: PatternPictures | None) -> PatternCard:
    if pictures is None:
        return PatternCard(pattern, (), ())
    words = (
        ("on the pattern", "on a control")
        if pattern.exchanged == "background"
        else ("with the pattern", "with a control")
    )
    return PatternCard(
        pattern,
        tuple(map(_exemplar, pictures.exemplars)),
        tuple(_strip(it, words) for it in pictures.recipients),
    )


def _exemplar(exemplar: PatternExemplar) -> ExemplarCard:
    outlined_HW3 = outline(exemplar.picture_HW3, exemplar.attended_HW)
    is_outlined = exemplar.attended_HW is not None
    return ExemplarCard(exemplar, thumbnail_address(outlined_HW3), is_outlined)


def _strip(recipient: PatternRecipient, words: tuple[str, str]) -> Strip:
    unchanged = Put(
        "as it is", recipient.prediction, thumbnail_address(recipient.picture_HW3), None
    )
    changed = zip(words, (recipient.on_pattern, recipient.on_control), strict=True)
    return Strip(recipient, (unchanged, *(_put(change, it) for change, it in changed)))


def _put(change: str, made: PutPicture) -> Put:
    return Put(change, made.prediction, thumbnail_address(made.picture_HW3), made.background)
