"""Every map and score again, slowly and literally from its paper, one image at a time.

Shapes: D channels, h w cells of the map, H W pixels. All in float64 and in loops.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def grad_cam(activation_Dhw: Array, gradient_Dhw: Array) -> Array:
    """Selvaraju et al. 2017, equations 1 (weights) and 2 (map)."""
    depth, rows, columns = activation_Dhw.shape
    map_hw = np.zeros((rows, columns))
    for d in range(depth):
        weight = 0.0
        for i in range(rows):
            for j in range(columns):
                weight += gradient_Dhw[d, i, j] / (rows * columns)
        for i in range(rows):
            for j in range(columns):
                map_hw[i, j] += weight * activation_Dhw[d, i, j]
    return rectified(map_hw)


def grad_cam_pp(activation_Dhw: Array, gradient_Dhw: Array) -> Array:
    """Chattopadhyay et al. 2018, equations 19 (alpha) and 7 (weights).

    The paper's score is exp(logit), whose derivative exp(logit) * gradient rescales the whole map.
    """
    depth, rows, columns = activation_Dhw.shape
    map_hw = np.zeros((rows, columns))
    for d in range(depth):
        total = 0.0
        for i in range(rows):
            for j in range(columns):
                total += activation_Dhw[d, i, j]
        weight = 0.0
        for i in range(rows):
            for j in range(columns):
                g = gradient_Dhw[d, i, j]
                denominator = 2 * g**2 + total * g**3
                alpha = g**2 / denominator if denominator != 0 else 0.0
                weight += alpha * max(g, 0.0)
        for i in range(rows):
            for j in range(columns):
                map_hw[i, j] += weight * activation_Dhw[d, i, j]
    return rectified(map_hw)


def hires_cam(activation_Dhw: Array, gradient_Dhw: Array) -> Array:
    """Draelos and Carin 2020 (arXiv 2011.08891): the sum over channels of gradient * activation."""
    depth, rows, columns = activation_Dhw.shape
    map_hw = np.zeros((rows, columns))
    for d in range(depth):
        for i in range(rows):
            for j in range(columns):
                map_hw[i, j] += gradient_Dhw[d, i, j] * activation_Dhw[d, i, j]
    return rectified(map_hw)


def layer_cam(activation_Dhw: Array, gradient_Dhw: Array) -> Array:
    """Jiang et al. 2021 (LayerCAM): each cell's weight is its own gradient where positive."""
    depth, rows, columns = activation_Dhw.shape
    map_hw = np.zeros((rows, columns))
    for d in range(depth):
        for i in range(rows):
            for j in range(columns):
                map_hw[i, j] += max(gradient_Dhw[d, i, j], 0.0) * activation_Dhw[d, i, j]
    return rectified(map_hw)


def saliency(gradient_CHW: Array) -> Array:
    """Simonyan et al. 2014, section 3.1: M_ij = max_c |w_h(i,j,c)|."""
    colours, height, width = gradient_CHW.shape
    map_HW = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            for c in range(colours):
                map_HW[y, x] = max(map_HW[y, x], abs(gradient_CHW[c, y, x]))
    return map_HW


def input_x_gradient(image_CHW: Array, gradient_CHW: Array) -> Array:
    """Shrikumar et al. 2016 (arXiv 1605.01713), with the contributions of the colours added up."""
    colours, height, width = image_CHW.shape
    map_HW = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            for c in range(colours):
                map_HW[y, x] += image_CHW[c, y, x] * gradient_CHW[c, y, x]
    return map_HW


def rectified(map_hw: Array) -> Array:
    return np.where(map_hw > 0, map_hw, 0.0)


def to_cells(mask_HW: Array, rows: int, columns: int) -> Array:
    """The foreground's share of each cell's pixels, where cells hold whole pixels."""
    height, width = mask_HW.shape[0] // rows, mask_HW.shape[1] // columns
    cells_hw = np.zeros((rows, columns))
    for y in range(mask_HW.shape[0]):
        for x in range(mask_HW.shape[1]):
            cells_hw[y // height, x // width] += mask_HW[y, x] / (height * width)
    return cells_hw


def foreground_share(map_hw: Array, mask_hw: Array) -> float:
    """Wang et al. 2020 (Score-CAM), energy-based pointing game, with a mask instead of a box."""
    inside = total = 0.0
    for i in range(map_hw.shape[0]):
        for j in range(map_hw.shape[1]):
            energy = abs(map_hw[i, j])
            inside += energy * mask_hw[i, j]
            total += energy
    return float(inside / total) if total > 0 else float("nan")


def lift(map_hw: Array, mask_hw: Array) -> float:
    """Our own: the share, relative to that of a map that is the same everywhere."""
    area = foreground_share(np.ones_like(map_hw), mask_hw)
    return foreground_share(map_hw, mask_hw) / area if area > 0 else float("nan")


def pointing(map_hw: Array, mask_HW: Array) -> bool:
    """Zhang et al. 2018 (Excitation Backprop): does the maximum hit? No tolerance around it."""
    best, at = -np.inf, (0, 0)
    for i in range(map_hw.shape[0]):
        for j in range(map_hw.shape[1]):
            if map_hw[i, j] > best:
                best, at = map_hw[i, j], (i, j)
    y = int((at[0] + 0.5) * mask_HW.shape[0] / map_hw.shape[0])
    x = int((at[1] + 0.5) * mask_HW.shape[1] / map_hw.shape[1])
    return bool(mask_HW[y, x] >= 0.5)
