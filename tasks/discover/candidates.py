"""Which groups of images may be patterns: those whose backgrounds alone are predicted as one class
more often than others'. Only the proposing half is looked at; the other half will judge.

Shapes: N images, L small clusters, U unions of them, K classes, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from tasks.compare.matched_patterns import overlap_of
from tasks.discover.clusters import NOWHERE, Union
from tasks.discover.facts import UNKNOWN, Facts
from tasks.discover.property_change import CHANGED, Property
from tasks.discover.regions import BORDER, region_of
from tasks.pictures.map_region import Region
from tasks.pictures.properties import BORDER_PROPERTIES
from tasks.schema.patterns import Exchanged
from tasks.schema.values import quantile

LEAST_STABILITY = 0.5
LEAST_IMAGES = 20  # of the proposing half
LEAST_SHARE = 0.001  # of the proposing half
MOST_SHARE = 0.5  # what most images have is no pattern: it is what those without another have
MOST, PER_IMAGE, AT_LEAST = 64, 1 / 1000, 8  # candidates
OF_MAPS = frozenset({"attended", "place"})  # spaces of what the map shows


@dataclass(frozen=True)
class Grouping:
    """One division of all images into small clusters, and the unions that may be patterns."""

    space: str  # or the column of the user's table
    leaf_N: np.ndarray  # small cluster, or NOWHERE
    distance_N: np.ndarray  # to its centre, in reaches
    unions: tuple[Union, ...]
    energy_Lhw: np.ndarray  # summed over the proposing images of each small cluster
    with_energy_L: np.ndarray  # their number
    usual_hw: np.ndarray  # mean over all proposing images
    values: tuple[str, ...] = ()  # of a column: what each small cluster is
    is_list: bool = False  # of an earlier run's pictures: others cannot be assigned

    @property
    def leaves(self) -> int:
        return len(self.with_energy_L)

    @property
    def given(self) -> Property | None:
        """The property that it is by, where other images can be given that."""
        return None if self.is_column else CHANGED.get(self.space)

    @property
    def is_of_maps(self) -> bool:
        return not self.is_column and self.space in OF_MAPS

    @property
    def is_of_border(self) -> bool:
        """By a property of the outermost pixels, such as a frame has."""
        return not self.is_column and self.space.partition(" ")[2] in BORDER_PROPERTIES

    @property
    def is_column(self) -> bool:
        """One of the user's table, which may be called as a space is."""
        return bool(self.values)

    def members(self, leaves: Sequence[int]) -> np.ndarray:
        """(N,) of booleans"""
        return np.isin(self.leaf_N, np.array(leaves))

    def count_values(self, some_N: np.ndarray) -> np.ndarray:
        """Of a column: how many of these images have each value."""
        leaf_n = self.leaf_N[some_N]
        count_L: np.ndarray = np.bincount(leaf_n[leaf_n != NOWHERE], minlength=len(self.values))
        return count_L


@dataclass(frozen=True)
class Candidate:
    """A group of images, and the class that their backgrounds are said to pull to."""

    grouping: Grouping
    union: Union
    pulls_to: int
    exchanged: Exchanged
    region: Region | None  # where region is exchanged
    # Of the likelihoods that its images and the others are predicted so at two rates, or at one:
    log_ratio: float  # the scan statistic of Kulldorff (1997)

    @property
    def member_N(self) -> np.ndarray:
        return self.grouping.members(self.union.leaves)

    @property
    def given(self) -> Property | None:
        """The property that other images are given, where that is what is exchanged."""
        return self.grouping.given if self.exchanged == "property" else None

    @property
    def value(self) -> str | None:
        """Of the user's column, where it is one."""
        grouping = self.grouping
        return grouping.values[self.union.leaves[0]] if grouping.is_column else None


def propose(groupings: Sequence[Grouping], facts: Facts, classes: int) -> list[Candidate]:
    """The candidates of the largest likelihood ratio, each group of images once per class."""
    has_foreground = bool(np.isfinite(facts.area_N).any())
    found = [
        candidate
        for grouping in groupings
        for candidate in _candidates_of(grouping, facts, classes, has_foreground)
    ]
    most = min(MOST, max(AT_LEAST, int(PER_IMAGE * len(facts))))
    chosen: list[Candidate] = []
    for candidate in sorted(found, key=lambda it: -it.log_ratio):
        if len(chosen) == most:
            break
        if not any(are_same(candidate, other) for other in chosen):
            chosen.append(candidate)
    return chosen


def are_same(one: Candidate, other: Candidate) -> bool:
    """Do two candidates share most members, the class, and what is exchanged?"""
    if (one.pulls_to, one.exchanged) != (other.pulls_to, other.exchanged):
        return False
    return share_members(one, other)


def share_members(one: Candidate, other: Candidate) -> bool:
    return overlap_of(one.member_N, other.member_N).is_most


def _candidates_of(
    grouping: Grouping, facts: Facts, classes: int, has_foreground: bool
) -> Iterator[Candidate]:
    union_UL = _matrix(grouping)
    by_border = grouping.is_of_border and not has_foreground
    pulled_n = _pulled(grouping, facts, classes, by_border)
    inside_UK = union_UL @ _counts(grouping, facts, pulled_n, classes + 1)
    total_K = np.bincount(pulled_n, minlength=classes + 1)
    ratio_UK = _log_ratio(inside_UK, total_K)[:, :classes]
    size_U = inside_UK.sum(1)
    least = max(LEAST_IMAGES, LEAST_SHARE * facts.proposes_N.sum())
    most = MOST_SHARE * facts.proposes_N.sum()
    for number, union in enumerate(grouping.unions):
        pulls_to = int(ratio_UK[number].argmax())
        log_ratio = float(ratio_UK[number, pulls_to])
        is_sized = least <= size_U[number] <= most
        if not is_sized or log_ratio <= 0 or union.stability < LEAST_STABILITY:
            continue
        exchanged, region = _what_to_exchange(grouping, union, has_foreground)
        if exchanged == "background" and not has_foreground:
            continue  # without the object's outline, no whole background can be exchanged
        yield Candidate(grouping, union, pulls_to, exchanged, region, log_ratio)


def _what_to_exchange(
    grouping: Grouping, union: Union, has_foreground: bool
) -> tuple[Exchanged, Region | None]:
    if grouping.given is not None:
        return "property", None
    if grouping.is_of_border and not has_foreground:
        return "region", BORDER
    region = region_of(_mean_energy(grouping, union), grouping.usual_hw)
    if region is not None and (grouping.is_of_maps or not has_foreground):
        return "region", region
    return "background", None


def _matrix(grouping: Grouping) -> np.ndarray:
    """(U, L) of 0 and 1"""
    union_UL = np.zeros((len(grouping.unions), grouping.leaves))
    for number, union in enumerate(grouping.unions):
        union_UL[number, list(union.leaves)] = 1
    return union_UL


def _pulled(grouping: Grouping, facts: Facts, classes: int, by_border: bool) -> np.ndarray:
    """Of the proposing images; the number of classes where nothing pulls. A property such as a blur
    is of the whole picture, the object included. A frame mostly goes with its class, so that few
    predictions with it are wrong: the trial, in which others get it, says whether it pulls."""
    pulled_N = facts.pulled_N if grouping.given is None else facts.wrong_N
    if by_border:
        pulled_N = facts.prediction_N
    pulled_n: np.ndarray = pulled_N[facts.proposes_N]
    return np.where(pulled_n == UNKNOWN, classes, pulled_n)


def _counts(grouping: Grouping, facts: Facts, pulled_n: np.ndarray, columns: int) -> np.ndarray:
    """(L, K + 1): proposing images by small cluster, and by the class that they are pulled to, the
    last for none."""
    leaf_n = grouping.leaf_N[facts.proposes_N].astype(np.int64)
    inside_n = leaf_n != NOWHERE
    cell_n = leaf_n[inside_n] * columns + pulled_n[inside_n]
    shape = grouping.leaves, columns
    count_LK: np.ndarray = np.bincount(cell_n, minlength=shape[0] * shape[1]).reshape(shape)
    return count_LK


def _log_ratio(inside_UK: np.ndarray, total_K: np.ndarray) -> np.ndarray:
    """(U, K); 0 where the class is not surely predicted more often than outside. Unlike the surplus
    of images, it does not grow when a group is united with one that is like all others."""
    size_U1 = np.maximum(inside_UK.sum(1, keepdims=True), 1)
    outside_UK = total_K - inside_UK
    rest_U1 = np.maximum(outside_UK.sum(1, keepdims=True), 1)
    ratio_UK = (
        _log_likelihood(inside_UK, size_U1)
        + _log_likelihood(outside_UK, rest_U1)
        - _log_likelihood(inside_UK + outside_UK, size_U1 + rest_U1)
    )
    return np.where(_wilson_low(inside_UK, size_U1) > outside_UK / rest_U1, ratio_UK, 0.0)


def _log_likelihood(count: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Of so many successes, at their own rate."""
    rate = count / of
    value: np.ndarray = xlogy(count, rate) + xlogy(of - count, 1 - rate)
    return value


def _wilson_low(count: np.ndarray, of: np.ndarray) -> np.ndarray:
    z, p = quantile(0.95), count / of
    centre = p + z * z / (2 * of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low: np.ndarray = (centre - half) / (1 + z * z / of)
    return low


def _mean_energy(grouping: Grouping, union: Union) -> np.ndarray:
    leaves = list(union.leaves)
    count = grouping.with_energy_L[leaves].sum()
    mean_hw: np.ndarray = grouping.energy_Lhw[leaves].sum(0) / max(1, count)
    return mean_hw if count else grouping.usual_hw
