"""Found patterns against planted ones, on cases that are counted by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.patterns.judge import (
    FoundPattern,
    Judgement,
    PlantedPattern,
    count_false,
    count_found,
    judge,
    mean_precision,
    overlap,
)

TAG = PlantedPattern("tag", frozenset("abcdefghij"), "fish")
FRAME = PlantedPattern("frame", frozenset("klmnopqrst"), "cactus")


def found(members: str, label: str = "fish", verdict: str = "confirmed") -> FoundPattern:
    return FoundPattern(tuple(members), label, verdict)


def counts(*judgements: Judgement) -> tuple[tuple[int, int], tuple[int, int]]:
    """Found of planted ones, and false of confirmed ones."""
    return count_found(judgements), count_false(judgements)


def test_each_planted_pattern_is_found() -> None:
    judgement = judge([found("klmno", "cactus"), found("abcdx")], [TAG, FRAME])
    assert counts(judgement) == ((2, 2), (0, 2))
    assert judgement == Judgement({"frame": (1.0, 1.0), "tag": (0.8, 0.8)})


def test_nothing_found_is_nothing_false() -> None:
    judgement = judge([], [TAG, FRAME])
    assert counts(judgement) == ((0, 2), (0, 0))
    assert judgement.missed == ("tag", "frame")
    assert math.isnan(mean_precision([judgement], 10))


def test_on_a_clean_network_every_confirmed_pattern_is_false() -> None:
    judgement = judge([found("abc"), found("xyz", verdict="not confirmed")], [])
    assert counts(judgement) == ((0, 0), (1, 1))
    assert judgement.others == ("fish",)


@pytest.mark.parametrize("verdict", ["not confirmed", "confounded", "too few"])
def test_only_confirmed_patterns_count(verdict: str) -> None:
    assert counts(judge([found("abcdefghij", verdict=verdict)], [TAG])) == ((0, 1), (0, 0))


def test_the_right_members_with_the_wrong_class_are_false() -> None:
    assert counts(judge([found("abcdefghij", "cactus")], [TAG])) == ((0, 1), (1, 1))


@pytest.mark.parametrize(
    ("members", "share"),
    [
        ("abcdefghij", 1.0),
        ("abcd", 0.4),  # 4 of 10
        ("abcdx", 4 / 11),  # 4 of 5 carry it: just enough
        ("abcxy", 0.0),  # 3 of 5: too few
        ("", 0.0),
    ],
)
def test_overlap(members: str, share: float) -> None:
    assert overlap(found(members), TAG) == pytest.approx(share)


def test_a_complement_is_no_discovery() -> None:
    """Domino's metrics would count it."""
    assert counts(judge([found("klmnopqrstuvwxyz")], [TAG])) == ((0, 1), (1, 1))


def test_the_second_of_two_parts_is_a_repeat() -> None:
    judgement = judge([found("abx"), found("abcd"), found("efghijz")], [TAG])
    assert counts(judgement) == ((1, 1), (2, 3))
    assert judgement.found == {"tag": (6 / 7, 6 / 7)}  # the larger part
    assert (judgement.repeats, judgement.others) == (1, ("fish",))


def test_what_is_true_without_being_planted_is_neither_found_nor_false() -> None:
    judgement = judge([found("abcd"), found("klmno", "cactus")], [TAG], [FRAME])
    assert counts(judgement) == ((1, 1), (0, 1))
    assert (judgement.unplanted, judgement.false) == (1, 0)
    assert judge([found("klmno")], [TAG], [FRAME]).others == ("fish",)  # the wrong class


def test_pairs_are_chosen_together_not_greedily() -> None:
    """The first fits both planted ones, and one better; the second fits that one alone."""
    wide = PlantedPattern("wide", frozenset("abcdefghijkl"), "fish")
    narrow = PlantedPattern("narrow", frozenset("abcdefgh"), "fish")
    judgement = judge([found("abcdefghij"), found("abcdefghijkl")], [narrow, wide])
    assert counts(judgement) == ((2, 2), (0, 2))
    assert judgement.found == {"narrow": (0.8, 0.8), "wide": (1.0, 1.0)}


def test_precision_is_of_the_nearest_members() -> None:
    judgement = judge([found("abcdefghijxy")], [TAG])
    assert mean_precision([judgement], 10) == 1.0
    assert mean_precision([judgement], 25) == pytest.approx(10 / 12)


def test_several_runs_are_counted_together() -> None:
    runs = [judge([found("abc"), found("xyz")], [TAG]), judge([], [TAG, FRAME]), judge([], [])]
    assert counts(*runs) == ((1, 3), (1, 2))
    assert mean_precision(runs, 10) == 1.0
