"""Patterns of two runs are matched one to one, those most alike first."""

from __future__ import annotations

import numpy as np

from tasks.compare.matched_patterns import Overlap, match_one_to_one, overlap_of

IMAGES = np.arange(100)


def groups(**ends: tuple[int, int]) -> dict[str, np.ndarray]:
    return {name: (start <= IMAGES) & (end > IMAGES) for name, (start, end) in ends.items()}


def match(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, str]:
    def overlap(one: str, other: str) -> Overlap:
        return overlap_of(first[one], second[other])

    return dict(match_one_to_one(list(first), list(second), overlap))


def test_most_images_of_the_smaller_have_to_be_shared() -> None:
    wide = groups(wide=(0, 80))
    assert match(groups(inside=(10, 20)), wide) == {"inside": "wide"}
    assert match(groups(half=(70, 90)), wide) == {}  # exactly half of it
    assert match(groups(apart=(85, 95)), wide) == {}


def test_each_is_matched_once_and_the_most_alike_first() -> None:
    first = groups(one=(0, 40), part=(0, 10))
    assert match(first, groups(other=(0, 38))) == {"one": "other"}
    second = groups(other=(0, 38), small=(0, 11))
    assert match(first, second) == {"one": "other", "part": "small"}


def test_pairs_that_cannot_be_the_same_are_left_out() -> None:
    first = groups(one=(0, 40))
    assert match_one_to_one(list(first), list(first), lambda *_: None) == {}
    assert overlap_of(first["one"], first["one"]).jaccard == 1
