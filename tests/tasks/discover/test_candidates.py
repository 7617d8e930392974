"""Candidates: groups of images whose backgrounds alone are predicted as one class more often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.discover.candidates import Candidate, Grouping, propose
from tasks.discover.clusters import NOWHERE, Clusters, Union
from tasks.discover.facts import UNKNOWN, Facts
from tasks.discover.ranks import Ranks
from tasks.discover.regions import BORDER

IMAGES, WIDTH, CLASSES = 4_000, 24, 4
CELLS = 64


def make_facts(pulled_N: np.ndarray, seed: int = 0) -> Facts:
    generator = np.random.default_rng(seed)
    count = len(pulled_N)
    class_N = generator.integers(CLASSES, size=count).astype(np.int32)
    return Facts(
        proposes_N=generator.random(count) < 0.5,
        content_N=np.arange(count, dtype=np.uint64),
        label_N=class_N,
        prediction_N=class_N,
        alone_N=pulled_N.astype(np.int32),
        bare_N=class_N,
        area_N=np.full(count, 0.1, np.float32),
        brightness_N=generator.random(count).astype(np.float32),
    )


def make_grouping(vector_NF: np.ndarray, facts: Facts) -> Grouping:
    clusters = Clusters.fit("direction", vector_NF[facts.proposes_N])
    leaf_N, distance_N = clusters.assign(vector_NF)
    leaves = len(clusters.centre_LP)
    flat = np.full((leaves, CELLS), 1 / CELLS)
    return Grouping(
        "background", leaf_N, distance_N, clusters.unions, flat, np.ones(leaves), flat[0]
    )


def gaussians(kinds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which kind each image is of, and its vector."""
    generator = np.random.default_rng(seed)
    kind_N = generator.integers(kinds, size=IMAGES)
    centre_KF = 3 * generator.standard_normal((kinds, WIDTH))
    return kind_N, centre_KF[kind_N] + generator.standard_normal((IMAGES, WIDTH))


def overlap(candidate: Candidate, truth_N: np.ndarray) -> float:
    """The Jaccard index of members and truth."""
    member_N = candidate.member_N
    return float((member_N & truth_N).sum() / (member_N | truth_N).sum())


def test_a_kind_of_background_that_pulls_is_the_first_candidate() -> None:
    kind_N, vector_NF = gaussians(12, seed=1)
    generator = np.random.default_rng(2)
    pulls_N = (kind_N == 3) & (generator.random(IMAGES) < 0.6)
    facts = make_facts(np.where(pulls_N, 2, generator.integers(CLASSES, size=IMAGES)))
    first, *_ = propose([make_grouping(vector_NF, facts)], facts, CLASSES)
    assert first.pulls_to == 2
    assert first.exchanged == "background"
    assert overlap(first, kind_N == 3) > 0.9
    assert first.union.stability > 0.9


def test_a_union_of_kinds_that_pull_alike_is_one_candidate() -> None:
    """As many small clusters as there are: they are united again where they are near."""
    kind_N, vector_NF = gaussians(4, seed=3)  # each is cut into several small clusters
    facts = make_facts(np.where(kind_N == 1, 0, 1))
    candidates = propose([make_grouping(vector_NF, facts)], facts, CLASSES)
    of_first_class = [it for it in candidates if it.pulls_to == 0]
    assert len(of_first_class) == 1
    assert overlap(of_first_class[0], kind_N == 1) > 0.95


@pytest.mark.parametrize("masked", [False, True])
def test_a_frame_is_a_candidate_without_foregrounds(masked: bool) -> None:
    """It mostly goes with its class, so few predictions are wrong; and a map is no compact region
    of it."""
    generator = np.random.default_rng(7)
    framed_N = generator.random(IMAGES) < 0.3
    facts = make_facts(np.full(IMAGES, UNKNOWN))
    class_N = np.where(framed_N & (generator.random(IMAGES) < 0.8), 1, facts.label_N)
    area_N = facts.area_N if masked else np.full(IMAGES, np.nan, np.float32)
    facts = replace(facts, label_N=class_N, prediction_N=class_N, area_N=area_N)
    spread_N = np.where(framed_N, 0.0, generator.random(IMAGES))
    low, _ = Ranks.both_ends(spread_N[facts.proposes_N])
    leaf_N, distance_N = low.assign(spread_N)
    flat = np.full((low.steps, CELLS), 1 / CELLS)
    grouping = Grouping(
        "low border_spread", leaf_N, distance_N, low.unions, flat, np.ones(low.steps), flat[0]
    )
    found = propose([grouping], facts, CLASSES)
    if masked:
        assert not found
        return
    first, *_ = found
    assert (first.pulls_to, first.exchanged, first.region) == (1, "region", BORDER)
    assert overlap(first, framed_N) > 0.8


def test_the_border_is_along_all_four_sides() -> None:
    mask_HW = BORDER.mask((224, 224))
    for side in (mask_HW[0], mask_HW[-1], mask_HW[:, 0], mask_HW[:, -1]):
        assert side.min() > 0.999
    assert mask_HW[40:-40, 40:-40].max() == 0


def test_what_is_predicted_at_random_makes_few_candidates() -> None:
    _, vector_NF = gaussians(12, seed=4)
    facts = make_facts(np.random.default_rng(5).integers(CLASSES, size=IMAGES))
    candidates = propose([make_grouping(vector_NF, facts)], facts, CLASSES)
    assert len(candidates) <= 8  # the most there may be; the other half judges them


@pytest.mark.parametrize("name", ["site", "place", "low sharpness"])
def test_a_column_of_the_users_may_be_called_as_a_space_is(name: str) -> None:
    """Its maps lie in one cell, which a space of maps would exchange; a column does not."""
    generator = np.random.default_rng(8)
    wet_N = generator.random(IMAGES) < 0.3
    pulled_N = np.where(wet_N & (generator.random(IMAGES) < 0.6), 2, 1)
    facts = make_facts(pulled_N)
    energy_Lhw = np.zeros((2, CELLS))
    energy_Lhw[[0, 1], [0, 1]] = 1
    grouping = Grouping(
        name,
        wet_N.astype(np.int16),
        np.zeros(IMAGES),
        (Union((0,), 1.0), Union((1,), 1.0)),
        energy_Lhw,
        np.ones(2),
        energy_Lhw[0],
        values=("land", "water"),
    )
    first, *_ = propose([grouping], facts, CLASSES)
    assert (first.value, first.pulls_to) == ("water", 2)
    assert (first.exchanged, first.region, first.given) == ("background", None, None)


def test_images_far_from_every_centre_are_in_no_cluster() -> None:
    _, vector_NF = gaussians(6, seed=6)
    clusters = Clusters.fit("deviation", vector_NF)
    leaf_N, distance_N = clusters.assign(np.vstack([vector_NF[:5], np.full((1, WIDTH), 500.0)]))
    assert (leaf_N[:4] != NOWHERE).sum() >= 3
    assert leaf_N[5] == NOWHERE
    assert distance_N[5] > 1


def test_images_without_a_vector_are_in_no_cluster() -> None:
    _, vector_NF = gaussians(6, seed=7)
    clusters = Clusters.fit("direction", vector_NF)
    vector_NF[1] = np.nan
    leaf_N, _ = clusters.assign(vector_NF[:3])
    assert leaf_N[1] == NOWHERE
