"""A change in words says no more than its interval does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.intervals.change import Change, describe_change
from tasks.schema.units import POINTS, RATIO

NUMBERS = st.floats(-1, 1)


def test_zero_at_an_end_is_not_excluded() -> None:
    assert not Change(0.1, 0.0, 0.2).excludes_zero
    assert Change(-0.1, -0.2, -0.01).excludes_zero


def test_a_change_is_written_in_its_unit() -> None:
    change = Change(0.061, 0.02, 0.104)
    assert describe_change(change, POINTS, "moved") == "moved by +6.1 points (+2.0 to +10.4)"
    assert describe_change(change, RATIO, "better") == "better by +0.061 (+0.020 to +0.104)"


@pytest.mark.parametrize(
    ("change", "doubt", "words"),
    [
        (Change(0.01, -0.02, 0.04), "", "(−2.0 to +4.0 points)"),
        (Change(0.0, 0.0, 0.0), "", "(0.0 to 0.0 points)"),
        (Change(0.0, -0.0001, 0.0001), "", "(0.0 to 0.0 points)"),
        (
            Change(0.02, 0.01, 0.03),
            "; only 2 images differ",
            "(+1.0 to +3.0 points; only 2 images differ)",
        ),
    ],
)
def test_nothing_is_claimed_without_a_verb(change: Change, doubt: str, words: str) -> None:
    said = describe_change(change, POINTS, None, doubt)
    assert said == f"no change that these numbers can show {words}"


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_claimed_change_never_ends_in_zero(low: float, value: float, high: float) -> None:
    low, value, high = sorted((low, value, high))
    change = Change(value, low, high)
    if not change.excludes_zero or min(abs(low), abs(high)) < 1e-8:
        return
    ends = describe_change(change, POINTS, "moved").split("(")[1].rstrip(")").split(" to ")
    assert all(end[0] in "+−" for end in ends)
