"""Compact artefacts: where the maps of a group lie that those of other images do not.

Shapes: h w cells of the map, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MOST_AREA = 0.15  # of the cells that hold most of it: larger ones are no compact artefact
LEAST_ENERGY = 0.1  # of the map, that lies there and does not in other images
HELD = 0.5  # of that energy, in the cells of the region
GROWN = 0.6  # cells: features say only roughly where something is
SOFT = 0.25  # cells: standard deviation of the region's edge


@dataclass(frozen=True)
class Region:
    """Cells of the map."""

    cells: tuple[tuple[int, int], ...]  # (row, column)
    grid: tuple[int, int]

    def mask(self, size: tuple[int, int]) -> Tensor:
        """(H, W), 1 inside and soft at the edge."""
        height, width = size
        rows, columns = self.grid
        cell = max(height / rows, width / columns)
        mask_11hw = torch.zeros(1, 1, rows, columns)
        for row, column in self.cells:
            mask_11hw[0, 0, row, column] = 1
        mask_11HW = functional.interpolate(mask_11hw, size, mode="nearest")
        reach = round(GROWN * cell)
        grown_11HW = functional.max_pool2d(mask_11HW, 2 * reach + 1, 1, reach)
        return _soften(grown_11HW, SOFT * cell)[0, 0]


def region_of(energy_hw: np.ndarray, usual_hw: np.ndarray) -> Region | None:
    """The few cells that hold most of what a group's maps have beyond the usual; None where they
    are many, or it is little. Both are flattened squares of cells that sum to 1."""
    side = round(len(usual_hw) ** 0.5)
    if not side or side * side != len(usual_hw) or not np.isfinite(energy_hw).all():
        return None
    more_hw = np.maximum(energy_hw - usual_hw, 0)
    if more_hw.sum() < LEAST_ENERGY:
        return None
    order_hw = np.argsort(-more_hw, kind="stable")
    count = 1 + int(np.searchsorted(np.cumsum(more_hw[order_hw]), HELD * more_hw.sum()))
    if count > max(1, MOST_AREA * len(more_hw)):
        return None
    cells = tuple(sorted(divmod(int(cell), side) for cell in order_hw[:count]))
    return Region(cells, (side, side))


def _soften(mask_11HW: Tensor, deviation: float) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    kernel = 2 * round(3 * deviation) + 1
    if kernel < 3:
        return mask_11HW
    softened_11HW: Tensor = gaussian_blur(mask_11HW, [kernel, kernel], [deviation, deviation])
    return softened_11HW
