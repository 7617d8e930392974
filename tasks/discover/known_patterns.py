"""Patterns that an earlier run knew: found or tested again, they keep their ids and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.compare.matched_patterns import Overlap, match_one_to_one, overlap_of
from tasks.discover.candidates import Candidate, are_same
from tasks.discover.results import Identity, Judged
from tasks.schema import Pattern


@dataclass(frozen=True)
class KnownPattern:
    """A pattern as the earlier run described it, and its images in this run."""

    pattern: Pattern
    candidate: Candidate

    @property
    def is_watched(self) -> bool:
        """Is it tested again, whether or not it is found again?"""
        return self.pattern.verdict == "confirmed" or self.pattern.named


def add_watched(candidates: Sequence[Candidate], known: Sequence[KnownPattern]) -> list[Candidate]:
    """The candidates, and the watched patterns that are not among them: one that is gone is so by
    its trial, and not since its images happened to be divided otherwise."""
    tested = list(candidates)
    for it in known:
        if it.is_watched and not any(are_same(it.candidate, other) for other in tested):
            tested.append(it.candidate)
    return tested


def identify(
    judged: Sequence[Judged], known: Sequence[KnownPattern], numbered: int
) -> tuple[list[Identity], int]:
    """The id of each, and the user's name: of the known pattern that it is, else a new number.
    Also the highest number now; `numbered` is the highest so far."""
    pattern_of = _match(judged, known)
    identities = []
    for index in range(len(judged)):
        if index in pattern_of:
            pattern = pattern_of[index]
            identities.append(Identity(pattern.id, pattern.name if pattern.named else None))
        else:
            numbered += 1
            identities.append(Identity(f"P{numbered}", None))
    return identities, numbered


def _match(judged: Sequence[Judged], known: Sequence[KnownPattern]) -> dict[int, Pattern]:
    """By index of a judged candidate; confirmed ones choose first."""
    free = {it.pattern.id: it for it in known}
    pattern_of: dict[int, Pattern] = {}
    for confirmed in (True, False):
        indices = [n for n, it in enumerate(judged) if it.is_confirmed == confirmed]

        def overlap(index: int, identity: str) -> Overlap | None:
            one, other = judged[index].candidate, free[identity].candidate
            if one.pulls_to != other.pulls_to:
                return None
            return overlap_of(one.member_N, other.member_N)

        for index, identity in match_one_to_one(indices, list(free), overlap).items():
            pattern_of[index] = free.pop(identity).pattern
    return pattern_of
