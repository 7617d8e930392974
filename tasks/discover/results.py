"""Candidates with their verdicts: each group of images once, and as the run's file has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.discover.candidates import Candidate, share_members
from tasks.discover.descriptions import name_of, sentence_of
from tasks.discover.enrichment import enriched_values
from tasks.discover.facts import UNKNOWN, Facts
from tasks.discover.groupings import Divided
from tasks.discover.trial import RowKey
from tasks.discover.trial_plan import TrialImages
from tasks.discover.verdicts import Judgement
from tasks.intervals.change import Change
from tasks.schema import VERDICTS, Interval, Pattern, Rate, wilson


@dataclass(frozen=True)
class Judged:
    """A candidate with the images that judged it, and the verdict."""

    candidate: Candidate
    images: TrialImages
    judgement: Judgement
    number: int  # of its trial

    @property
    def is_confirmed(self) -> bool:
        return self.judgement.verdict == "confirmed"


@dataclass(frozen=True)
class Identity:
    """Of one pattern in all runs."""

    id: str
    name: str | None  # the user's


def without_repetitions(judged: Iterable[Judged]) -> list[Judged]:
    """The confirmed ones first; of those with the same members and class, only the surest."""
    kept: list[Judged] = []
    for it in sorted(judged, key=strongest_first):
        confirmed = (other for other in kept if other.is_confirmed)
        if not any(_are_same(it.candidate, other.candidate) for other in confirmed):
            kept.append(it)
    return kept


def describe(
    judged: Sequence[Judged],
    identities: Sequence[Identity],
    divided: Divided,
    classes: tuple[str, ...],
    row_keys: Mapping[int, RowKey],
) -> tuple[Pattern, ...]:
    """One pattern each."""
    return tuple(
        _pattern(identity, it, divided, classes, row_keys)
        for identity, it in zip(identities, judged, strict=True)
    )


def _are_same(one: Candidate, other: Candidate) -> bool:
    return one.pulls_to == other.pulls_to and share_members(one, other)


def strongest_first(judged: Judged) -> tuple[int, float]:
    """To sort by: the verdict, then the effect that is sure."""
    main = judged.judgement.measured
    return VERDICTS.index(judged.judgement.verdict), 1.0 if main is None else -main.effect.low


def _pattern(
    identity: Identity,
    judged: Judged,
    divided: Divided,
    classes: tuple[str, ...],
    row_keys: Mapping[int, RowKey],
) -> Pattern:
    candidate, judgement, facts = judged.candidate, judged.judgement, divided.facts
    member_N, measured = candidate.member_N, judgement.measured
    class_name, region = classes[candidate.pulls_to], candidate.region
    columns = [grouping for grouping in divided.groupings if grouping.is_column]
    return Pattern(
        id=identity.id,
        name=identity.name or name_of(candidate, columns, facts.proposes_N),
        named=identity.name is not None,
        space=candidate.grouping.space,
        clusters=() if candidate.grouping.is_list else candidate.union.leaves,
        value=candidate.value,
        pulls_to=class_name,
        exchanged=candidate.exchanged,
        region=() if region is None else region.cells,
        grid=(0, 0) if region is None else region.grid,
        images=int(member_N.sum()),
        label_share=_share(facts.label_N[member_N], candidate.pulls_to),
        alone=_share(facts.alone_N[member_N], candidate.pulls_to),
        errors=_errors(facts, member_N, candidate.pulls_to),
        enriched=enriched_values(candidate, columns),
        stability=candidate.union.stability,
        verdict=judgement.verdict,
        sentence=sentence_of(candidate, judgement, class_name),
        effect=None if measured is None else _interval(measured.effect, measured.recipients),
        on_pattern=None if measured is None else measured.rate(of_pattern=True),
        on_others=None if measured is None else measured.rate(of_pattern=False),
        p=None if measured is None else measured.p,
        q=None if measured is None else judgement.q,
        trial=judged.number if judged.images.are_enough else None,
        exemplars=_row_ids(judged.images.exemplars, row_keys),
        controls=_row_ids(judged.images.controls, row_keys),
        recipients=_row_ids(judged.images.recipients, row_keys),
    )


def _row_ids(numbers: Iterable[int], row_keys: Mapping[int, RowKey]) -> tuple[str, ...]:
    return tuple(row_keys[number][1] for number in numbers)


def _share(class_n: np.ndarray, wanted: int) -> Rate:
    known = class_n[class_n != UNKNOWN]
    return wilson(int((known == wanted).sum()), len(known))


def _errors(facts: Facts, member_N: np.ndarray, wanted: int) -> Rate:
    known_N = facts.label_N != UNKNOWN
    wrong_N = known_N & (facts.prediction_N == wanted) & (facts.label_N != wanted)
    return wilson(int((wrong_N & member_N).sum()), int(wrong_N.sum()))


def _interval(change: Change, images: int) -> Interval:
    return Interval(value=change.value, low=change.low, high=change.high, of=images)
