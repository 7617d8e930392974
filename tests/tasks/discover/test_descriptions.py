"""The name of a pattern: from what its members share, else from where or in what it was found."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import NOWHERE, Union
from tasks.discover.descriptions import NAMES, name_of
from tasks.pictures.map_region import Region
from tasks.schema.patterns import Exchanged

IMAGES, MEMBERS = 100, 20
NOTHING = np.zeros(0)
EVERY = np.ones(IMAGES, bool)
OF_SPACE = NAMES["background"]


def grouping(leaf_N: np.ndarray, space: str = "background", *values: str) -> Grouping:
    return Grouping(space, leaf_N.astype(np.int16), NOTHING, (), NOTHING, NOTHING, NOTHING, values)


def candidate(region: Region | None = None, members: int = MEMBERS) -> Candidate:
    """Of the first images."""
    leaf_N = np.where(np.arange(IMAGES) < members, 0, NOWHERE)
    exchanged: Exchanged = "background" if region is None else "region"
    return Candidate(grouping(leaf_N), Union((0,), 1.0), 0, exchanged, region, 1.0)


def site(members: int, others: int, rest: int) -> Grouping:
    """`reef` for so many of the members and of the others; `rest` is the value of all else."""
    leaf_N = np.full(IMAGES, rest)
    leaf_N[:members] = 0
    leaf_N[MEMBERS : MEMBERS + others] = 0
    return grouping(leaf_N, "site", "reef", "sand")


@pytest.mark.parametrize(
    ("cells", "side", "name"),
    [
        ([(0, 0)], 2, "upper left"),
        ([(1, 1)], 2, "lower right"),
        ([(0, 1)], 2, "upper right"),
        ([(0, 2), (0, 3), (0, 4)], 7, "upper centre"),
        ([(2, 0)], 7, "middle left"),
        ([(4, 6)], 7, "middle right"),
        ([(5, 3)], 7, "lower centre"),
    ],
)
def test_a_region_is_where_the_middle_of_its_cells_lies(
    cells: list[tuple[int, int]], side: int, name: str
) -> None:
    region = Region(tuple(cells), (side, side))
    assert name_of(candidate(region), [], EVERY) == f"something in the {name}"


@pytest.mark.parametrize("side", [1, 3, 7, 14])
def test_the_cell_in_the_middle_is_there(side: int) -> None:
    region = Region(((side // 2, side // 2),), (side, side))
    assert name_of(candidate(region), [], EVERY) == "something in the middle"


def test_a_value_of_most_members_and_few_others_names_it() -> None:
    assert name_of(candidate(), [site(12, 24, rest=1)], EVERY) == "mostly site reef"


@pytest.mark.parametrize(
    ("members", "others"),
    [
        (9, 0),  # of 20: not most
        (12, 25),  # of 80: more than half as often
    ],
)
@pytest.mark.parametrize("rest", [1, NOWHERE])
def test_a_value_of_few_members_or_many_others_names_nothing(
    members: int, others: int, rest: int
) -> None:
    """Whether the others have another value, or none."""
    assert name_of(candidate(), [site(members, others, rest)], EVERY) == OF_SPACE


def test_where_every_image_is_a_member_nothing_sets_them_apart() -> None:
    everything = candidate(members=IMAGES)
    assert name_of(everything, [site(0, 0, rest=NOWHERE)], EVERY) == OF_SPACE
