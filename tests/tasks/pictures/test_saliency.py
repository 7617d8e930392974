"""Robust background detection, derived again from the paper, one region after the other."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy.sparse.csgraph import floyd_warshall

from tasks.pictures.saliency import (
    ALIKE,
    BACKGROUND,
    FLOOR,
    GRID,
    NEARBY,
    SMOOTH,
    grow_regions,
    saliency_map,
    shortest_paths,
)

SIZE = 24


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    """A disc on a slope of colour, with some noise, in CIELAB."""
    draw = np.random.default_rng(seed)
    y_hw = np.indices((size, size))[0] / size
    ends_23 = draw.uniform(0.2, 0.8, (2, 3))
    image_hw3 = ends_23[0] + (ends_23[1] - ends_23[0]) * 0.3 * y_hw[..., None]
    image_hw3[disc(size)] = draw.uniform(0, 1, 3)
    image_hw3 += draw.normal(0, 0.01, image_hw3.shape)
    lab_hw3 = cv2.cvtColor(image_hw3.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2Lab)
    return np.asarray(lab_hw3, np.float64)


def disc(size: int = SIZE) -> np.ndarray:
    y_hw, x_hw = (np.indices((size, size)) + 0.5) / size - 0.5
    return np.asarray(y_hw**2 + x_hw**2 < 0.06)


def expected(lab_hw3: np.ndarray, region_hw: np.ndarray) -> np.ndarray:
    """The paper's equations 2 to 9 by loops; a region's area is counted in regions."""
    size, count = len(region_hw), int(region_hw.max()) + 1
    regions = range(count)
    colour = [lab_hw3[region_hw == i].mean(0) for i in regions]
    position = [np.argwhere(region_hw == i).mean(0) / size for i in regions]
    edge = {*region_hw[0], *region_hw[-1], *region_hw[:, 0], *region_hw[:, -1]}
    touch = np.zeros((count, count), bool)
    for y in range(size):
        for x in range(size):
            for other in ((y + 1, x), (y, x + 1)):
                if max(other) < size and region_hw[y, x] != region_hw[other]:
                    touch[region_hw[y, x], region_hw[other]] = True
                    touch[region_hw[other], region_hw[y, x]] = True
    differ = np.array([[math.dist(colour[i], colour[j]) for j in regions] for i in regions])
    free = np.mean([min(differ[i, j] for j in regions if touch[i, j]) for i in regions])
    step = np.full((count, count), np.inf)
    for i in regions:
        for j in regions:
            if i != j and (touch[i, j] or (i in edge and j in edge)):
                step[i, j] = max(differ[i, j] - free, 0)
        step[i, i] = 0
    same = np.exp(-(shortest_paths(step) ** 2) / (2 * ALIKE**2))
    border = [sum(same[i, j] for j in edge) / math.sqrt(sum(same[i])) for i in regions]
    background = [1 - math.exp(-(b**2) / 2) for b in border]
    contrast = np.array(
        [
            sum(
                differ[i, j]
                * math.exp(-(math.dist(position[i], position[j]) ** 2) / (2 * NEARBY**2))
                * background[j]
                for j in regions
            )
            for i in regions
        ]
    )
    contrast = (contrast - contrast.min()) / np.ptp(contrast)
    matrix = np.zeros((count, count))
    for i in regions:
        matrix[i, i] += BACKGROUND * background[i] + contrast[i]
        for j in regions:
            two_steps = any(touch[i, k] and touch[k, j] for k in regions)
            if i != j and (touch[i, j] or two_steps or (i in edge and j in edge)):
                weight = math.exp(-(differ[i, j] ** 2) / (2 * SMOOTH**2)) + FLOOR
                matrix[i, i] += weight
                matrix[i, j] -= weight
    saliency = np.linalg.solve(matrix, contrast)
    saliency = (saliency - saliency.min()) / np.ptp(saliency)
    return np.asarray(saliency[region_hw])


@pytest.mark.parametrize("seed", range(4))
def test_saliency_is_the_papers(seed: int) -> None:
    lab_hw3 = picture(seed)
    np.testing.assert_allclose(
        saliency_map(lab_hw3), expected(lab_hw3, grow_regions(lab_hw3)), atol=1e-8
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_disc_is_salient(seed: int) -> None:
    saliency_hw = saliency_map(picture(seed, 32))
    assert saliency_hw[disc(32)].mean() > 0.75
    assert saliency_hw[~disc(32)].mean() < 0.15
    assert (saliency_hw.min(), saliency_hw.max()) == (0, 1)


def test_nothing_is_salient_in_one_colour() -> None:
    assert not saliency_map(np.full((SIZE, SIZE, 3), 50.0)).any()


def test_paths_are_scipys() -> None:
    step_NN = np.random.default_rng(0).uniform(0.1, 9, (30, 30)) * (1 - np.eye(30))
    np.testing.assert_allclose(shortest_paths(step_NN), floyd_warshall(step_NN))


def test_regions_keep_to_one_colour_and_stay_compact() -> None:
    lab_hw3 = np.zeros((32, 32, 3))
    lab_hw3[:, 18:, 0] = 80.0  # no multiple of a cell's width
    region_hw = grow_regions(lab_hw3)
    assert set(np.unique(region_hw)) == set(range(int(region_hw.max()) + 1))
    assert not set(region_hw[:, :18].ravel()) & set(region_hw[:, 18:].ravel())
    for region in range(int(region_hw.max()) + 1):
        assert (np.ptp(np.argwhere(region_hw == region), axis=0) < 3 * 32 / GRID).all()


def test_one_colour_is_divided_by_the_grid() -> None:
    region_hw = grow_regions(np.zeros((32, 32, 3)))
    cell_hw = np.indices((32, 32)) // (32 // GRID)
    np.testing.assert_array_equal(region_hw, cell_hw[0] * GRID + cell_hw[1])
