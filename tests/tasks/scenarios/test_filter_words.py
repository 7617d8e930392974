"""A filter in words, and whether another model would choose other images by it."""

from __future__ import annotations

import pytest

from tasks.query.columns import WORDS
from tasks.query.filters import (
    Condition,
    ContainsText,
    Filter,
    HasValue,
    InLasso,
    InRange,
    IsRow,
)
from tasks.scenarios.filter_words import OF_THE_DATA, depends_on_model, describe_filter

LASSO = InLasso(space="object", polygon=((0, 0), (1, 0), (0, 1)))
CASES: list[tuple[Condition, str, list[str]]] = [
    (HasValue(column="weather", values=("snow",)), "weather is 'snow'", []),
    (HasValue(column="weather", values=("snow", None)), "weather is 'snow' or missing", []),
    (HasValue(column="weather", values=(None,)), "weather is missing", []),
    (HasValue(column="weather", values=()), "weather is one of none", []),
    (
        HasValue(column="label", values=tuple("abcdefg")),
        "label is 'a' or 'b' or 'c' or 'd' or 'e' or 2 more",
        [],
    ),
    (HasValue(column="flag", values=("mixed",)), "flag is 'mixed'", ["flag"]),
    (HasValue(column="before.flag", values=("mixed",)), "before.flag is 'mixed'", ["before.flag"]),
    (HasValue(column="before.label", values=("a",)), "before.label is 'a'", []),
    (HasValue(column="catalog.flag", values=("a",)), "catalog.flag is 'a'", []),
    (InRange(column="score", low=0.5), "score is 0.5 or more", ["score"]),
    (InRange(column="brightness", high=0.25), "brightness is 0.25 or less", []),
    (InRange(column="age", low=1, high=2), "age is 1 to 2", []),
    (InRange(column="age"), "age is a number", []),
    (InRange(column="day", low=20261130), "day is 20261130 or more", []),
    (InRange(column="copies", low=2), "copies is 2 or more", []),
    (ContainsText(column="row_id", text="12"), "row_id contains '12'", []),
    (ContainsText(column="reason", text="x"), "reason contains 'x'", ["reason"]),
    (
        ContainsText(column="before.flag", text="x"),
        "before.flag contains 'x'",
        ["before.flag"],
    ),
    (ContainsText(column="mask", text="x"), "mask contains 'x'", []),
    (ContainsText(text="12"), "any text contains '12'", ["the text of every column"]),
    (IsRow(row_ids=("a", "b")), "row_id is one of 2", []),
    (IsRow(row_ids=("a",)), "row_id is 'a'", []),
    (
        LASSO,
        "inside a lasso of 3 corners in the plot of object",
        ["the plot of the features (object)"],
    ),
]


@pytest.mark.parametrize(("condition", "words", "answers"), CASES)
def test_a_condition_in_words(condition: Condition, words: str, answers: list[str]) -> None:
    chosen = Filter(conditions=(condition,))
    assert describe_filter(chosen) == words
    assert depends_on_model(chosen) == answers


def test_all_conditions_hold_together() -> None:
    chosen = Filter(conditions=tuple(condition for condition, *_ in CASES[:2]))
    assert describe_filter(chosen) == "weather is 'snow', weather is 'snow' or missing"
    assert describe_filter(Filter()) == "every image"


def test_hostile_texts_stay_in_their_line() -> None:
    hostile = "\x1b[31m\n" * 5
    chosen = Filter(
        conditions=(
            HasValue(column=hostile, values=(hostile,)),
            ContainsText(column=hostile, text=hostile),
            InRange(column=hostile),
            IsRow(row_ids=(hostile,)),
        )
    )
    assert describe_filter(chosen).isprintable()


def test_columns_of_the_data_are_columns() -> None:
    assert WORDS.keys() > OF_THE_DATA
