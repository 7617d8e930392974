"""Excess over the null, its test, and the correction for many groups."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from tasks.schema import ENOUGH
from tasks.summary.groups import Groups, Tally

Outcome = tuple[bool | None, str, bool | None]


def tally(*outcomes: Outcome) -> Tally:
    found = Tally()
    for outcome in outcomes:
        found.add(*outcome)
    return found


FLAGGED: Outcome = (True, "rests_on_background", False)
BY_NULL: Outcome = (True, "rests_on_object", True)
CLEAN: Outcome = (False, "rests_on_object", False)
UNDECIDED: Outcome = (None, "undecided", None)


def test_excess_is_of_the_same_images() -> None:
    found = tally(*[FLAGGED] * 12, *[BY_NULL] * 3, *[CLEAN] * 25, *[UNDECIDED] * 7)
    assert (found.rate.count, found.rate.of) == (12, 40)
    assert (found.null.count, found.null.of) == (3, 40)
    assert (found.accuracy.count, found.accuracy.of) == (15, 40)
    assert found.excess is not None
    assert found.excess.value == pytest.approx(9 / 40)
    assert found.excess.low > 0
    assert found.excess.p == pytest.approx(binomtest(12, 15, alternative="greater").pvalue)


def test_small_groups_have_no_excess() -> None:
    assert tally(*[FLAGGED] * (ENOUGH - 1)).excess is None
    assert tally(*[FLAGGED] * ENOUGH).excess is not None


def test_groups_of_all_columns_are_corrected_together() -> None:
    groups = Groups()
    outcomes = [FLAGGED] * 30 + [CLEAN] * 30 + [BY_NULL] * 5
    place = ["sea"] * 30 + ["sand"] * 30 + [None] * 5
    groups.add({"place": place, "label": ["x"] * 65, "few": ["y"] * 3 + [None] * 62}, outcomes)
    found = groups.summaries()
    assert {group.name for group in found["place"]} == {"sea", "sand"}
    sand, sea = found["place"]
    assert sea.q is not None
    assert sea.excess is not None
    assert sea.excess.p < sea.q < 0.001
    assert sand.q == 1
    (few,) = found["few"]
    assert (few.excess, few.q) == (None, None)
