"""Ids of patterns: kept where most images and the class are the same, and never given twice."""

from __future__ import annotations

import numpy as np

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import NOWHERE, Union
from tasks.discover.known_patterns import KnownPattern, add_watched, identify
from tasks.discover.results import Judged
from tasks.discover.trial_plan import TrialImages
from tasks.discover.verdicts import Judgement
from tasks.schema import PatternVerdict
from tests.support.patterns import confirmed_pattern

IMAGES = np.arange(100)
NOTHING = np.zeros(0)


def candidate(start: int, end: int, pulls_to: int = 0) -> Candidate:
    """Of the images from one number to another."""
    leaf_N = np.where((start <= IMAGES) & (end > IMAGES), 0, NOWHERE).astype(np.int16)
    grouping = Grouping("background", leaf_N, NOTHING, (), NOTHING, NOTHING, NOTHING)
    return Candidate(grouping, Union((0,), 1.0), pulls_to, "background", None, 1.0)


def judged(it: Candidate, verdict: PatternVerdict = "confirmed") -> Judged:
    return Judged(it, TrialImages((), (), ()), Judgement(verdict, "", None, 1.0), 0)


def known(
    identity: str, it: Candidate, verdict: PatternVerdict = "confirmed", *, named: bool = False
) -> KnownPattern:
    pattern = confirmed_pattern(identity, named=named, verdict=verdict, name=f"name of {identity}")
    return KnownPattern(pattern, it)


def test_known_ones_that_were_confirmed_or_named_are_tested_again() -> None:
    proposed = [candidate(0, 20)]
    watched = [
        known("P1", candidate(0, 22)),  # found again
        known("P2", candidate(40, 60)),
        known("P3", candidate(60, 70), "not confirmed"),
        known("P4", candidate(70, 80), "not confirmed", named=True),
        known("P5", candidate(0, 20, pulls_to=1)),
    ]
    tested = add_watched(proposed, watched)
    assert tested == [*proposed, *(watched[index].candidate for index in (1, 3, 4))]


def test_ids_and_given_names_are_kept_and_numbers_never_given_again() -> None:
    before = [
        known("P3", candidate(0, 20), named=True),
        known("P7", candidate(40, 60)),
        known("P8", candidate(80, 90)),
    ]
    now = [
        judged(candidate(42, 60)),
        judged(candidate(0, 19)),
        judged(candidate(0, 19, pulls_to=1)),
        judged(candidate(60, 75), "not confirmed"),
    ]
    identities, numbered = identify(now, before, numbered=9)
    assert [it.id for it in identities] == ["P7", "P3", "P10", "P11"]
    assert [it.name for it in identities] == [None, "name of P3", None, None]
    assert numbered == 11


def test_confirmed_ones_choose_first() -> None:
    before = [known("P1", candidate(0, 20))]
    now = [judged(candidate(0, 30)), judged(candidate(0, 20), "not confirmed")]
    identities, _ = identify(now, before, numbered=1)
    assert [it.id for it in identities] == ["P1", "P2"]
