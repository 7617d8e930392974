"""Values of the user's table that members have more often than others."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import NOWHERE, Union
from tasks.discover.enrichment import MOST, enriched_values

IMAGES, MEMBERS = 120, 30


def grouping(space: str, leaf_N: np.ndarray, *values: str) -> Grouping:
    leaves = max(1, len(values), int(leaf_N.max()) + 1)
    flat = np.zeros((leaves, 1))
    return Grouping(
        space,
        leaf_N.astype(np.int16),
        np.zeros(len(leaf_N)),
        tuple(Union((leaf,), 1.0) for leaf in range(leaves)),
        flat,
        np.zeros(leaves),
        flat[0],
        values,
    )


def candidate(of: Grouping | None = None) -> Candidate:
    """Its members are the first 30 images."""
    leaf_N = (np.arange(IMAGES) >= MEMBERS).astype(np.int16)
    found = of or grouping("background", leaf_N)
    return Candidate(found, found.unions[0], 0, "background", None, 1.0)


def at_least(count: int, members: int, having: int, images: int) -> float:
    """The hypergeometric tail, summed."""
    ways = (
        comb(having, k) * comb(images - having, members - k)
        for k in range(count, min(members, having) + 1)
    )
    return float(Fraction(sum(ways), comb(images, members)))


def site(of_members: int, of_others: int) -> Grouping:
    """Of `reef` or `sand`."""
    leaf_N = np.ones(IMAGES)
    leaf_N[:of_members] = 0
    leaf_N[MEMBERS : MEMBERS + of_others] = 0
    return grouping("site", leaf_N, "reef", "sand")


def test_a_value_that_most_members_have() -> None:
    (found,) = enriched_values(candidate(), [site(24, 6)])
    assert (found.column, found.value) == ("site", "reef")
    assert (found.members.count, found.members.of) == (24, 30)
    assert (found.others.count, found.others.of) == (6, 90)
    p = at_least(24, 30, 30, 120)
    assert found.q == pytest.approx(2 * p, rel=1e-9)  # two values: the other has a p near 1


def test_chance_is_no_enrichment() -> None:
    assert at_least(9, 30, 20, 120) > 0.025
    assert enriched_values(candidate(), [site(9, 11)]) == ()


def test_a_value_that_is_not_twice_as_frequent_is_none_however_sure() -> None:
    assert at_least(30, 30, 90, 120) < 1e-3
    assert enriched_values(candidate(), [site(30, 60)]) == ()


def test_images_without_a_value_do_not_count() -> None:
    column = site(24, 6)
    column.leaf_N[24:30] = NOWHERE
    column.leaf_N[-10:] = NOWHERE
    (found,) = enriched_values(candidate(), [column])
    assert (found.members.of, found.others.of) == (24, 80)


@pytest.mark.parametrize("at", range(3))
def test_values_that_no_image_has_leave_the_correction_as_it_is(at: int) -> None:
    """They count among all values, with a p of 1."""
    columns = [site(24, 6), grouping("kind", np.arange(IMAGES) % 5, *"abcde")]
    (alone,) = enriched_values(candidate(), columns)
    columns.insert(at, grouping("depth", np.full(IMAGES, NOWHERE), "deep", "shallow"))
    (beside,) = enriched_values(candidate(), columns)
    assert beside.q == pytest.approx(alone.q * 9 / 7)


def test_the_column_that_a_candidate_is_a_value_of_says_nothing_about_it() -> None:
    column = site(30, 0)
    assert enriched_values(candidate(column), [column]) == ()


def test_the_most_frequent_values_are_named() -> None:
    kinds = np.where(np.arange(IMAGES) < MEMBERS, np.arange(IMAGES) % 4, 5)
    kinds[:3] = 0
    column = grouping("kind", kinds, *"abcdef")
    found = enriched_values(candidate(), [site(28, 0), column])
    assert len(found) == MOST
    assert [it.value for it in found][:2] == ["reef", "a"]
    assert enriched_values(candidate(), []) == ()
