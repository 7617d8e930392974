"""Figures and names for reading."""

from __future__ import annotations

import math

import pytest

from reports import formatting as reports_words
from tasks.schema import Rate, wilson
from tasks.schema.units import percent, points


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0.0%"),
        (0.0001, "<0.1%"),
        (0.349, "34.9%"),
        (0.9999, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(value: float | None, words: str) -> None:
    assert percent(value) == words


def test_an_interval_in_words() -> None:
    rate = Rate(value=0.5, low=0.322, high=0.677, count=1, of=2)
    assert reports_words.interval(rate) == "32.2 to 67.7%"
    assert reports_words.interval(wilson(0, 0)) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.31, "0.3 s"),
        (41.2, "41 s"),
        (161.2, "2 min 41 s"),
        (59.7, "1 min 0 s"),
        (10921, "3 h 2 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert reports_words.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.434, "+43.4"), (-0.018, "−1.8"), (0.0001, "0.0"), (-0.0001, "0.0")]
)
def test_differences_have_a_sign_unless_they_are_nothing(value: float, words: str) -> None:
    assert points(value) == words


@pytest.mark.parametrize(
    ("q", "words"), [(None, "–"), (0.0, "<0.001"), (0.0344, "0.034"), (1.0, "1.000")]
)
def test_a_chance_is_told_as_far_as_it_matters(q: float | None, words: str) -> None:
    assert reports_words.chance(q) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0%"), (0.001, "under 1%"), (0.126, "13%"), (0.999, "over 99%"), (1.0, "100%")],
)
def test_a_share_inside_of_a_sentence(value: float, words: str) -> None:
    assert reports_words.rounded_percent(value) == words


def test_a_long_name_keeps_both_ends() -> None:
    shortened = reports_words.short("folder/" + "x" * 500 + "/17.png", 40)
    assert len(shortened) == 40
    assert shortened.startswith("folder/")
    assert shortened.endswith("/17.png")


def test_counted_words() -> None:
    assert reports_words.count_of(1, "image") == "1 image"
    assert reports_words.count_of(1200, "class") == "1,200 classes"


def test_a_stamp_is_shown_in_utc() -> None:
    assert reports_words.when("2026-08-04T02:00:11+00:00") == "4 August 2026, 02:00 UTC"
    assert reports_words.when("2026-08-04T02:00:11+02:00") == "4 August 2026, 00:00 UTC"
    assert reports_words.when("yesterday") == "yesterday"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0.000"),
        (0.0001, "<0.001"),
        (-0.0001, "0.000"),
        (-0.0413, "−0.041"),
        (0.4234, "0.423"),
        (2.345, "2.35"),
        (48.04, "48.0"),
        (4000.4, "4,000"),
    ],
)
def test_about_three_digits(value: float | None, words: str) -> None:
    assert reports_words.digits(value) == words
