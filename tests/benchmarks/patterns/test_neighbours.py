"""Neighbours find what they are made to find, on numbers whose groups are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks.patterns.judge import BELONGS, CONFIRMED, FoundPattern, PlantedPattern, precision_of
from benchmarks.patterns.neighbours import (
    COMPONENTS,
    NEIGHBOURS,
    SLICES,
    RunImages,
    _log_normal,
    cluster_and_test,
    cluster_maps,
    find_error_slices,
    fit_error_mixture,
)

CLASSES = ("fish", "cactus", "balloon")
N = 300


@pytest.fixture
def images() -> RunImages:
    """Each fifth image has a pattern: features of its own, a map in one corner, and it is
    predicted as fish."""
    draw = np.random.default_rng(0)
    has_N = np.arange(N) % 5 == 0
    label_N = draw.integers(0, 3, N)
    feature_ND = draw.normal(size=(N, 8)) + 6 * has_N[:, None] * np.eye(8)[0]
    map_ND = draw.random((N, 16)) + 1.0 * ~has_N[:, None] * (np.arange(16) < 4)
    map_ND[has_N, 15] += 8
    return RunImages(
        np.array([f"{'pattern' if has else 'other'}-{row}" for row, has in enumerate(has_N)]),
        label_N,
        np.where(has_N, 0, label_N),
        feature_ND,
        feature_ND,
        map_ND / map_ND.sum(1, keepdims=True),
        CLASSES,
    )


def truth(images: RunImages) -> PlantedPattern:
    members = frozenset(it for it in images.row_ids.tolist() if it.startswith("pattern"))
    return PlantedPattern("pattern", members, "fish")


def purest(found: list[FoundPattern], images: RunImages) -> FoundPattern:
    own = [it for it in found if it.label == "fish" and it.verdict == CONFIRMED]
    return max(own, key=lambda it: (precision_of(it.members, truth(images)), len(it.members)))


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_members_are_images_of_the_run_each_once(name: str, images: RunImages) -> None:
    found = NEIGHBOURS[name](images)
    members = [row_id for pattern in found for row_id in pattern.members]
    assert len(set(members)) == len(members)
    assert set(members) <= set(images.row_ids.tolist())
    assert {it.label for it in found} <= set(CLASSES)
    assert NEIGHBOURS[name](images) == found  # the same again


def test_maps_in_a_corner_are_a_cluster_of_the_class_that_is_predicted(images: RunImages) -> None:
    pattern = purest(cluster_maps(images), images)
    assert precision_of(pattern.members, truth(images)) == 1.0
    assert len(pattern.members) > 20


def test_the_error_slice_is_the_first_in_which_a_class_is_predicted_beyond_its_labels(
    images: RunImages,
) -> None:
    found = find_error_slices(images)
    assert len(found) <= SLICES
    pattern = purest(found, images)
    assert precision_of(pattern.members, truth(images)) == 1.0


def test_the_mixtures_density_is_scipys() -> None:
    draw = np.random.default_rng(1)
    value_ND, mean_CD, variance_CD = draw.random((5, 3)), draw.random((2, 3)), draw.random((2, 3))
    oracle = [
        multivariate_normal(mean_D, np.diag(variance_D)).logpdf(value_ND)
        for mean_D, variance_D in zip(mean_CD, variance_CD, strict=True)
    ]
    found_NC = _log_normal(value_ND, mean_CD, variance_CD)
    np.testing.assert_allclose(found_NC, np.stack(oracle, 1))


def test_responsibilities_and_shares_sum_to_one(images: RunImages) -> None:
    responsibility_NC, label_CK, prediction_CK = fit_error_mixture(images)
    assert responsibility_NC.shape == (N, COMPONENTS)
    for share in (responsibility_NC, label_CK, prediction_CK):
        np.testing.assert_allclose(share.sum(1), 1, atol=1e-6)


def test_k_means_confirms_clusters_on_the_images_that_made_them(images: RunImages) -> None:
    pattern = purest(cluster_and_test(images), images)
    assert precision_of(pattern.members, truth(images)) >= BELONGS


def test_k_means_confirms_nothing_where_all_is_predicted_alike(images: RunImages) -> None:
    alike = RunImages(**{**vars(images), "prediction_N": np.zeros(N, int)})
    assert all(it.verdict != CONFIRMED for it in cluster_and_test(alike))
