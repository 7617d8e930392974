"""Which patterns are new, gone, grown or shrunk: between two nights, or between two models.

Patterns are the same where one run has its ids from the other; else where they share most of the
images that both runs predicted, and the class. Shapes: A and B candidates of the two runs, n images
of both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    Rate,
    wilson,
)
from tasks.schema.units import SHARE, points
from tasks.storage.disk_tables import BLOCK
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
        sides = match_images(before, now, ("row_id", "content_id"))
        row_ids = pa.concat_tables(keep_same_bytes(*both)[1] for both in sides)["row_id"]
        old, new = (
            _Members.read(run, found.candidates, row_ids)
            for run, found in ((before, first), (now, last))
        )
        first_A, last_B = np.zeros(old.candidates), np.zeros(new.candidates)
        both_AB = np.zeros((len(first_A), len(last_B)))
        for start in range(0, len(row_ids), BLOCK):
            images = range(start, min(start + BLOCK, len(row_ids)))
            old_An, new_Bn = old.among(images), new.among(images)
            first_A += old_An.sum(1)
            last_B += new_Bn.sum(1)
            both_AB += old_An @ new_Bn.T
        return cls(len(row_ids), first_A, last_B, both_AB)

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
    """The members of all candidates of a run among some images, in the images' order."""

    image_n: np.ndarray  # its number; each is one image of one candidate
    candidate_n: np.ndarray  # its index
    candidates: int

    @classmethod
    def read(cls, run: Run, candidates: Sequence[Pattern], row_ids: pa.ChunkedArray) -> _Members:
        table = read_table(
            run.folder.pattern_members, ["row_id", "pattern"], expected=schema.PATTERN_MEMBERS
        )
        ids = pa.array([it.id for it in candidates], pa.string())
        candidate_n = pc.index_in(table["pattern"], ids).to_numpy()
        image = pc.index_in(table["row_id"], row_ids)
        image_n, there_n = image.drop_null().to_numpy(), image.is_valid().to_numpy()
        order_n = np.argsort(image_n)
        pa.default_memory_pool().release_unused()  # the table, and an index of all images
        return cls(image_n[order_n], candidate_n[there_n][order_n], len(candidates))

    def among(self, images: range) -> np.ndarray:
        """(candidates, images) of 0 and 1: which of these images are members."""
        first, last = np.searchsorted(self.image_n, (images.start, images.stop))
        member = np.zeros((self.candidates, len(images)), np.float32)
        member[self.candidate_n[first:last], self.image_n[first:last] - images.start] = 1
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


@dataclass(frozen=True)
class _Judged:
    """A pattern as one of the runs judged it, among so many images."""

    pattern: Pattern
    images: int

    @property
    def is_confirmed(self) -> bool:
        return self.pattern.verdict == "confirmed"

    @property
    def share(self) -> Rate:
        return wilson(self.pattern.images, self.images)

    def then(self) -> PatternThen:
        it = self.pattern
        return PatternThen(id=it.id, verdict=it.verdict, share=self.share, effect=it.effect)


def _changes(sides: _Sides, matched: Mapping[int, int]) -> Iterator[PatternChange]:
    """Of what either run confirmed."""
    first, last = (
        [_Judged(it, sum(found.halves)) for it in found.candidates]
        for found in (sides.first, sides.last)
    )
    for one, before in enumerate(first):
        if one not in matched:
            if before.is_confirmed:
                yield _change_on_one_side("gone", before, None)
            continue
        now = last[matched[one]]
        if before.is_confirmed and now.is_confirmed:
            yield _change_of_share(before, now, sides.shared.crossing(one, matched[one]))
        elif before.is_confirmed or now.is_confirmed:
            yield _change_on_one_side("new" if now.is_confirmed else "gone", before, now)
    for other, now in enumerate(last):
        if now.is_confirmed and other not in matched.values():
            yield _change_on_one_side("new", None, now)


def _change_of_share(before: _Judged, now: _Judged, crossing: Crossing) -> PatternChange:
    """How much more of the images are members now."""
    change = change_of_rate(Rates(before.share, now.share, crossing))
    kind = _kind_of(change)
    return PatternChange(
        name=now.pattern.name,
        pulls_to=now.pattern.pulls_to,
        kind=kind,
        before=before.then(),
        now=now.then(),
        change=Interval(value=change.value, low=change.low, high=change.high, of=now.images),
        sentence=describe_change(change, SHARE, None if kind == "unchanged" else kind),
    )


def _kind_of(change: Change) -> PatternChangeKind:
    if not change.excludes_zero:
        return "unchanged"
    return "grown" if change.value > 0 else "shrunk"


def _change_on_one_side(
    kind: Literal["new", "gone"], before: _Judged | None, now: _Judged | None
) -> PatternChange:
    """One run confirmed it; what is known of it in the other."""
    latest = now or before
    assert latest is not None
    other, when = (before, "before") if kind == "new" else (now, "now")
    return PatternChange(
        name=latest.pattern.name,
        pulls_to=latest.pattern.pulls_to,
        kind=kind,
        before=before and before.then(),
        now=now and now.then(),
        change=None,
        sentence=f"{kind}: {_as_judged(other, when)}",
    )


def _as_judged(judged: _Judged | None, when: str) -> str:
    if judged is None:
        return f"no candidate has these images {when}"
    verdict, effect = judged.pattern.verdict, judged.pattern.effect
    if effect is None:
        return f"{verdict} images to judge it {when}"
    ends = f"{points(effect.low)} to {points(effect.high)}"
    return f"{verdict} {when}, {points(effect.value)} points ({ends})"
