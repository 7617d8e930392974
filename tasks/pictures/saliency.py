"""The saliency of a picture whose border is mostly background.

Robust background detection (Zhu, Liang, Wei, Sun, CVPR 2014): a region is background as far as it
is connected to the border along colours that change little; what differs in colour from the
background near it is salient. Shapes: h w pixels of a small square copy, P all of them, N regions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

GRID = 8  # regions across and down
ROUNDS = 2  # of growing the regions
COMPACT = 12.0  # weight of one region's width in position, in units of CIELAB
ALIKE = 6.0  # distance of colours along a path, within which regions are connected
SMOOTH = 10.0  # distance of colours within which neighbours should be equally salient
NEARBY = 0.25  # of the picture's side, within which contrast counts
FAR = 1e9
BACKGROUND, FLOOR = 5.0, 0.1  # weights: of the background term, of smoothness across an edge


def saliency_map(lab_hw3: Array) -> Array:
    """How salient each pixel of a square picture in CIELAB is, 0 to 1; all 0 in one colour."""
    region_hw = grow_regions(lab_hw3)
    size = len(region_hw)
    region_P = region_hw.ravel()
    position_P2 = np.indices(region_hw.shape).reshape(2, -1).T / size
    count_N = np.bincount(region_P)
    colour_N3 = means(region_P, lab_hw3.reshape(-1, 3), count_N)
    position_N2 = means(region_P, position_P2, count_N)
    touch_NN = _neighbours(region_hw, len(count_N))
    rim_N = np.zeros(len(count_N), bool)
    rim_N[np.concatenate([region_hw[0], region_hw[-1], region_hw[:, 0], region_hw[:, -1]])] = True
    differ_NN = distances(colour_N3)
    background_N = _background_weights(differ_NN, touch_NN, rim_N)
    near_NN = np.exp(-(distances(position_N2) ** 2) / (2 * NEARBY**2))
    contrast_N = _stretch((differ_NN * near_NN) @ background_N)
    saliency_N = _smooth(contrast_N, background_N, differ_NN, touch_NN, rim_N)
    saliency_hw: Array = _stretch(saliency_N)[region_hw]
    return saliency_hw


def grow_regions(lab_hw3: Array) -> Indices:
    """Superpixels, numbered without gaps: k-means in colour and position from a grid (SLIC)."""
    size = len(lab_hw3)
    start_P, choices_P9 = _grid(size)
    position_P2 = np.indices((size, size)).reshape(2, -1).T * (COMPACT * GRID / size)
    point_P5 = np.concatenate([lab_hw3.reshape(-1, 3), position_P2], axis=1)
    region_P = start_P
    for _ in range(ROUNDS):
        centre_N5 = means(region_P, point_P5, np.bincount(region_P, minlength=GRID * GRID))
        apart_P9 = ((point_P5[:, None] - centre_N5[choices_P9]) ** 2).sum(2)
        region_P = np.take_along_axis(choices_P9, apart_P9.argmin(1)[:, None], 1)[:, 0]
    numbered: Indices = np.unique(region_P, return_inverse=True)[1].reshape(size, size)
    return numbered


@cache
def _grid(size: int) -> tuple[Indices, Indices]:
    """Each pixel's cell of the grid, and the nine cells that it may move to."""
    row_P, column_P = np.indices((size, size)).reshape(2, -1) * GRID // size
    choices = [
        np.clip(row_P + down, 0, GRID - 1) * GRID + np.clip(column_P + right, 0, GRID - 1)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    return row_P * GRID + column_P, np.stack(choices, axis=1)


def means(region_P: Indices, value_PD: Array, count_N: NDArray[np.int64]) -> Array:
    """The mean of each region's values; 0 where it has no pixel."""
    total = [np.bincount(region_P, value_P, len(count_N)) for value_P in value_PD.T]
    return np.stack(total, axis=1) / np.maximum(count_N, 1)[:, None]


def distances(point_ND: Array) -> Array:
    """The distances between all pairs of points."""
    squared_NN = ((point_ND[:, None] - point_ND[None]) ** 2).sum(2)
    root_NN: Array = np.sqrt(squared_NN)
    return root_NN


def shortest_paths(step_NN: Array) -> Array:
    """The shortest paths between all pairs, from single steps (Floyd and Warshall)."""
    path_NN = step_NN.copy()
    for through in range(len(path_NN)):
        np.minimum(path_NN, path_NN[:, through, None] + path_NN[None, through], out=path_NN)
    return path_NN


def _neighbours(region_hw: Indices, count: int) -> NDArray[np.bool_]:
    """Which regions touch."""
    touch_NN = np.zeros((count, count), bool)
    touch_NN[region_hw[1:], region_hw[:-1]] = True
    touch_NN[region_hw[:, 1:], region_hw[:, :-1]] = True
    touch_NN |= touch_NN.T
    np.fill_diagonal(touch_NN, False)
    return touch_NN


def _background_weights(
    differ_NN: Array, touch_NN: NDArray[np.bool_], rim_N: NDArray[np.bool_]
) -> Array:
    """How certainly each region is background: its connection to the border over the root of its
    area. All regions of the border count as neighbours."""
    free = np.where(touch_NN, differ_NN, np.inf).min(1).mean()  # change within one surface
    step_NN = np.where(touch_NN | _all_pairs(rim_N), np.maximum(differ_NN - free, 0), FAR)
    np.fill_diagonal(step_NN, 0)
    same_NN = np.exp(-(shortest_paths(step_NN) ** 2) / (2 * ALIKE**2))
    connection_N = same_NN[:, rim_N].sum(1) / np.sqrt(same_NN.sum(1))
    background_N: Array = 1 - np.exp(-(connection_N**2) / 2)
    return background_N


def _smooth(
    contrast_N: Array,
    background_N: Array,
    differ_NN: Array,
    touch_NN: NDArray[np.bool_],
    rim_N: NDArray[np.bool_],
) -> Array:
    """The least-squares saliency: high by contrast, low for background, and equal to that of
    regions of the same colour up to two steps away."""
    linked_NN = touch_NN | (touch_NN.astype(np.float64) @ touch_NN > 0) | _all_pairs(rim_N)
    weight_NN = np.where(linked_NN, np.exp(-(differ_NN**2) / (2 * SMOOTH**2)) + FLOOR, 0)
    np.fill_diagonal(weight_NN, 0)
    diagonal_N = weight_NN.sum(1) + BACKGROUND * background_N + contrast_N
    return np.linalg.solve(np.diag(diagonal_N) - weight_NN, contrast_N)


def _all_pairs(rim_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return rim_N[:, None] & rim_N[None]


def _stretch(value_N: Array) -> Array:
    spread = float(np.ptp(value_N))
    stretched_N: Array = (value_N - value_N.min()) / (spread or 1.0)
    return stretched_N
