"""Which patterns are new, gone, grown or shrunk: between two nights, or between two models.

Patterns are the same where one run has its ids from the other; else where they share most of the
images that both runs predicted, and the class. Shapes: A and B candidates of the two runs, n images
of both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import UserError
from tasks import schema
from tasks.compare.matched_patterns import Overlap, match_one_to_one
from tasks.compare.paired_images import keep_same_bytes, match_images
from tasks.intervals.change import Change, describe_change
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate
from tasks.runs import open_run
from tasks.runs.reader import Run
from tasks.schema import (
    PATTERN_CHANGES,
    Interval,
    Pattern,
    PatternChange,
    PatternChangeKind,
    PatternSummary,
    PatternThen,
    wilson,
)
from tasks.schema.units import SHARE, points
from tasks.storage.parquet import read_table

log = logging.getLogger("sightline")


def compare_patterns(
    before: Run, first: PatternSummary | None, now: Run, last: PatternSummary | None
) -> tuple[PatternChange, ...] | None:
    """Every pattern that one of the two runs confirmed; None where one looked for none."""
    if first is None or last is None:
        return None
    shared = _SharedMembers.of(before, first, now, last)
    sides = _Sides(first, last, shared)
    changes = [*_changes(sides, _match(before, now, sides))]
    return tuple(sorted(changes, key=lambda it: PATTERN_CHANGES.index(it.kind)))


def add_pattern_changes(
    moved: schema.Comparison, now: Run, found: PatternSummary | None
) -> schema.Comparison:
    """What moved since the run before, with the patterns, which are found after all else."""
    try:
        before = open_run(moved.before)
        changes = compare_patterns(before, before.summary().patterns, now, found)
    except (UserError, OSError) as error:  # it was there when the rest was compared
        log.warning("patterns are not compared with the previous run: %s", error)
        return moved
    return moved.model_copy(update={"patterns": changes})


@dataclass(frozen=True)
class _SharedMembers:
    """The images that both runs predicted, of the same bytes, counted by candidate."""

    images: int
    first_A: np.ndarray
    last_B: np.ndarray
    both_AB: np.ndarray

    @classmethod
    def of(
        cls, before: Run, first: PatternSummary, now: Run, last: PatternSummary
    ) -> _SharedMembers:
        old, new = (
            _Members.read(run, found.candidates) for run, found in ((before, first), (now, last))
        )
        images, first_A = 0, np.zeros(len(first.candidates))
        last_B = np.zeros(len(last.candidates))
        both_AB = np.zeros((len(first_A), len(last_B)))
        for sides in match_images(before, now, ("row_id", "content_id")):
            row_ids = keep_same_bytes(*sides)[1]["row_id"].combine_chunks()
            old_An, new_Bn = old.among(row_ids), new.among(row_ids)
            images += len(row_ids)
            first_A += old_An.sum(1)
            last_B += new_Bn.sum(1)
            both_AB += old_An @ new_Bn.T
        return cls(images, first_A, last_B, both_AB)

    def overlap(self, one: int, other: int) -> Overlap:
        counts = self.both_AB[one, other], self.first_A[one], self.last_B[other]
        return Overlap(*map(int, counts))

    def crossing(self, one: int, other: int) -> Crossing:
        """The shared images, by whether they are members then and now."""
        it = self.overlap(one, other)
        neither = self.images - it.one - it.other + it.shared
        return Crossing(it.shared, it.one - it.shared, it.other - it.shared, neither)


@dataclass(frozen=True)
class _Members:
    """The rows of all candidates of a run."""

    row_ids: pa.ChunkedArray
    candidate_n: np.ndarray  # its index; each row is one image of one candidate
    candidates: int

    @classmethod
    def read(cls, run: Run, candidates: Sequence[Pattern]) -> _Members:
        table = read_table(
            run.folder.pattern_members, ["row_id", "pattern"], expected=schema.PATTERN_MEMBERS
        )
        ids = pa.array([it.id for it in candidates], pa.string())
        candidate_n = pc.index_in(table["pattern"], ids).to_numpy()
        return cls(table["row_id"], candidate_n, len(candidates))

    def among(self, row_ids: pa.Array) -> np.ndarray:
        """(candidates, images) of 0 and 1: which of these images are members."""
        index = pc.index_in(self.row_ids, row_ids)
        there_n = index.is_valid().to_numpy()
        member = np.zeros((self.candidates, len(row_ids)), np.float32)
        member[self.candidate_n[there_n], index.drop_null().to_numpy()] = 1
        return member


@dataclass(frozen=True)
class _Sides:
    """The patterns of both runs, and the images that they share."""

    first: PatternSummary
    last: PatternSummary
    shared: _SharedMembers

    def overlap(self, one: int, other: int) -> Overlap | None:
        classes = self.first.candidates[one].pulls_to, self.last.candidates[other].pulls_to
        return self.shared.overlap(one, other) if classes[0] == classes[1] else None


def _match(before: Run, now: Run, sides: _Sides) -> Mapping[int, int]:
    """By index of an earlier candidate, that of the later one that is the same."""
    first, last = sides.first, sides.last
    knows = (first.known_from, now.state.id), (last.known_from, before.state.id)
    if any(known is not None and known == other for known, other in knows):
        index_of = {it.id: index for index, it in enumerate(last.candidates)}
        return {
            index: index_of[it.id] for index, it in enumerate(first.candidates) if it.id in index_of
        }
    indices = range(len(first.candidates)), range(len(last.candidates))
    return match_one_to_one(*indices, sides.overlap)


def _changes(sides: _Sides, matched: Mapping[int, int]) -> Iterator[PatternChange]:
    first, last = sides.first, sides.last
    for one, pattern in enumerate(first.candidates):
        if one in matched:
            change = _change_of_shares(sides, one, matched[one])
            yield from _change((pattern, first), (last.candidates[matched[one]], last), change)
        else:
            yield from _change((pattern, first), None, None)
    for other, pattern in enumerate(last.candidates):
        if other not in matched.values():
            yield from _change(None, (pattern, last), None)


def _change_of_shares(sides: _Sides, one: int, other: int) -> Change:
    """How much more of the images are members now."""
    before, now = (
        wilson(found.candidates[index].images, sum(found.halves))
        for found, index in ((sides.first, one), (sides.last, other))
    )
    return change_of_rate(Rates(before, now, sides.shared.crossing(one, other)))


_Of = tuple[Pattern, PatternSummary] | None


def _change(before: _Of, now: _Of, change: Change | None) -> Iterator[PatternChange]:
    """Nothing where neither run confirmed it."""
    pattern = (now or before or [None])[0]
    assert pattern is not None
    confirmed = [it is not None and it[0].verdict == "confirmed" for it in (before, now)]
    if not any(confirmed):
        return
    both = all(confirmed)
    kind = _kind_of(change) if both and change is not None else "new" if confirmed[1] else "gone"
    then, today = _then(before), _then(now)
    yield PatternChange(
        name=pattern.name,
        pulls_to=pattern.pulls_to,
        kind=kind,
        before=then,
        now=today,
        change=_interval(change, now) if both else None,
        sentence=_sentence(kind, then, today, change),
    )


def _kind_of(change: Change) -> PatternChangeKind:
    if not change.excludes_zero:
        return "unchanged"
    return "grown" if change.value > 0 else "shrunk"


def _then(side: _Of) -> PatternThen | None:
    if side is None:
        return None
    pattern, found = side
    share = wilson(pattern.images, sum(found.halves))
    return PatternThen(id=pattern.id, verdict=pattern.verdict, share=share, effect=pattern.effect)


def _interval(change: Change | None, now: _Of) -> Interval | None:
    if change is None or now is None:
        return None
    return Interval(value=change.value, low=change.low, high=change.high, of=sum(now[1].halves))


def _sentence(
    kind: PatternChangeKind,
    before: PatternThen | None,
    now: PatternThen | None,
    change: Change | None,
) -> str:
    """What is known of it in the run that did not confirm it, or how its share changed."""
    if kind == "new":
        return f"new: {_as_judged(before, 'before')}"
    if kind == "gone":
        return f"gone: {_as_judged(now, 'now')}"
    assert change is not None
    return describe_change(change, SHARE, None if kind == "unchanged" else kind)


def _as_judged(then: PatternThen | None, when: str) -> str:
    if then is None:
        return f"no candidate has these images {when}"
    if then.effect is None:
        return f"{then.verdict} images to judge it {when}"
    effect = then.effect
    ends = f"{points(effect.low)} to {points(effect.high)}"
    return f"{then.verdict} {when}, {points(effect.value)} points ({ends})"
