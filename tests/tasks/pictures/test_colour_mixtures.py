"""Mixtures are derived again with scipy's densities; the cut is the best of all masks."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from tasks.pictures.colour_mixtures import (
    FLOOR,
    GAMMA,
    GAUSSIANS,
    LEVELS,
    QUINTILES,
    SURE,
    fit_mixtures,
    graph_cut,
    log_densities,
    monomials,
    widest_plane,
)


def colours(count: int, seed: int = 0) -> np.ndarray:
    """Bytes around four colours."""
    draw = np.random.default_rng(seed)
    middle_43 = draw.uniform(40, 215, (4, 3))
    near_P3 = middle_43[draw.integers(0, 4, count)] + draw.normal(0, 12, (count, 3))
    return np.asarray(near_P3.clip(0, 255), np.uint8)


def members(count: int, groups: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((groups, count)) < 0.4


Gaussian = tuple[float, np.ndarray, np.ndarray]


def fitted(colour_P3: np.ndarray, part_P: np.ndarray) -> list[Gaussian | None]:
    """Weight, mean and covariance of each part; None for one without a pixel."""
    found: list[Gaussian | None] = []
    for part in range(GAUSSIANS):
        mine_N3 = colour_P3[part_P == part]
        if len(mine_N3) == 0:
            found.append(None)
            continue
        covariance = np.cov(mine_N3.T, bias=True) + FLOOR * np.eye(3)
        found.append((len(mine_N3) / len(colour_P3), mine_N3.mean(0), covariance))
    return found


def densities(colour_P3: np.ndarray, mixture: list[Gaussian | None]) -> np.ndarray:
    log_KP = np.full((GAUSSIANS, len(colour_P3)), -np.inf)
    for part, gaussian in enumerate(mixture):
        if gaussian is not None:
            weight, mean, covariance = gaussian
            log_density_P = multivariate_normal(mean, covariance).logpdf(colour_P3)
            log_KP[part] = math.log(weight) + log_density_P + 1.5 * math.log(2 * math.pi)
    return log_KP


def learnt(colour_P3: np.ndarray, inside_P: np.ndarray) -> np.ndarray:
    """Fit five parts along the widest axis, assign each pixel to the likeliest, fit again."""
    mine_N3 = colour_P3[inside_P]
    variance_3, axis_33 = np.linalg.eigh(np.cov(mine_N3.T, bias=True) + FLOOR * np.eye(3))
    along_N = (mine_N3 - mine_N3.mean(0)) @ axis_33[:, -1] / math.sqrt(variance_3[-1])
    part_N = np.array([sum(along > edge for edge in QUINTILES) for along in along_N])
    if axis_33[0, -1] < 0:  # an axis has two directions, and parts no order
        part_N = GAUSSIANS - 1 - part_N
    part_N = densities(mine_N3, fitted(mine_N3, part_N)).argmax(0)
    total_P: np.ndarray = logsumexp(densities(colour_P3, fitted(mine_N3, part_N)), axis=0)
    return total_P


def test_densities_are_scipys() -> None:
    picture_P3, inside_GP = colours(300), members(300, 3)
    colour_PM = monomials(picture_P3)
    found_GP = log_densities(colour_PM, fit_mixtures(colour_PM, inside_GP))
    for found_P, inside_P in zip(found_GP, inside_GP, strict=True):
        np.testing.assert_allclose(found_P, learnt(picture_P3 / 255, inside_P), atol=1e-4)


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_few_colours_leave_gaussians_empty(kinds: int) -> None:
    picture_P3 = np.repeat(np.array([[9, 9, 9], [200, 40, 40], [30, 90, 250]], np.uint8), 40, 0)
    picture_P3 = picture_P3[: kinds * 40]
    inside_GP = np.stack([np.arange(len(picture_P3)) % 2 == 0, picture_P3[:, 0] == 9])
    colour_PM = monomials(picture_P3)
    found_GP = log_densities(colour_PM, fit_mixtures(colour_PM, inside_GP))
    for found_P, inside_P in zip(found_GP, inside_GP, strict=True):
        np.testing.assert_allclose(found_P, learnt(picture_P3 / 255, inside_P), rtol=1e-6)


def test_a_group_does_not_depend_on_the_others() -> None:
    colour_PM, inside_GP = monomials(colours(200)), members(200, 4)
    together_GKM = fit_mixtures(colour_PM, inside_GP)
    for gaussian_KM, inside_P in zip(together_GKM, inside_GP, strict=True):
        np.testing.assert_allclose(
            gaussian_KM, fit_mixtures(colour_PM, inside_P[None])[0], rtol=1e-9
        )


def energy(mask_hw: np.ndarray, odds_hw: np.ndarray, coded_hw3: np.ndarray, gamma: float) -> float:
    """GrabCut's: the odds against each pixel's side, and a boundary's cost for each of eight
    neighbours, exp(-beta * squared difference) over their distance."""
    rows, columns = odds_hw.shape
    pairs = [
        ((y, x), (y + down, x + right))
        for y, x in itertools.product(range(rows), range(columns))
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
        if y + down < rows and 0 <= x + right < columns
    ]
    differ = [float(((coded_hw3[a] - coded_hw3[b]) ** 2).sum()) for a, b in pairs]
    beta = 1 / (2 * np.mean(differ)) if any(differ) else 0.0
    total = -float(odds_hw[mask_hw].sum())
    for (a, b), squared in zip(pairs, differ, strict=True):
        if mask_hw[a] != mask_hw[b]:
            total += gamma * math.exp(-beta * squared) / math.dist(a, b)
    return total


@pytest.mark.parametrize("smoothness", [1.0, 5.0, 25.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_cut_has_the_least_energy_of_all_masks(smoothness: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    odds_hw = draw.normal(0, 12, (3, 4))
    plane_P2 = draw.integers(0, 256, (12, 2)).astype(np.uint8)
    found_hw = graph_cut(odds_hw, plane_P2, smoothness)
    step = 2 * SURE / LEVELS
    rounded_hw = np.rint(odds_hw / step) * step
    coded_hw3 = np.dstack([odds_hw / step, plane_P2.reshape(3, 4, 2).astype(float)])
    coded_hw3[..., 0] = np.rint(coded_hw3[..., 0])
    least = min(
        energy(np.array(mask).reshape(3, 4), rounded_hw, coded_hw3, smoothness)
        for mask in itertools.product([False, True], repeat=12)
    )
    assert energy(found_hw, rounded_hw, coded_hw3, smoothness) == pytest.approx(least, abs=1e-6)


def test_where_all_colours_are_one_the_odds_still_cut() -> None:
    odds_hw = np.full((8, 8), -20.0)
    odds_hw[2:6, 2:6] = 20.0
    found_hw = graph_cut(odds_hw, np.zeros((64, 2), np.uint8), 2.0)
    np.testing.assert_array_equal(found_hw, odds_hw > 0)


def test_the_plane_keeps_the_two_axes_that_differ_most() -> None:
    picture_P3 = np.zeros((100, 3), np.uint8)
    picture_P3[:, 0] = np.arange(100)
    picture_P3[:, 2] = np.arange(100) * 7 % 41
    plane_P2 = widest_plane(monomials(picture_P3)).astype(float)
    for first, second in itertools.combinations(range(100), 2):
        apart = math.dist(picture_P3[first], picture_P3[second])
        assert math.dist(plane_P2[first], plane_P2[second]) == pytest.approx(apart, abs=1.5)


def test_opencvs_random_numbers_are_left_alone() -> None:
    def rolls(between: bool) -> np.ndarray:
        cv2.setRNGSeed(7)
        if between:
            colour_PM = monomials(colours(64))
            fit_mixtures(colour_PM, members(64, 2))
            graph_cut(np.linspace(-9, 9, 64).reshape(8, 8), widest_plane(colour_PM), 5.0)
        return np.asarray(cv2.randu(np.zeros(9), np.zeros(1), np.ones(1)))

    np.testing.assert_array_equal(rolls(True), rolls(False))
    assert GAMMA == 50  # as OpenCV's source has it: the energies above say so, too
