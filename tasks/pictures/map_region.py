"""Cells of a map as a region of the pictures, which is pasted or filled.

Shapes: h w cells of the map, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.masks import grow_masks

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
        grown_11HW = grow_masks(mask_11HW, reach)
        return _soften(grown_11HW, SOFT * cell)[0, 0]


def _soften(mask_11HW: Tensor, deviation: float) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    kernel = 2 * round(3 * deviation) + 1
    if kernel < 3:
        return mask_11HW
    softened_11HW: Tensor = gaussian_blur(mask_11HW, [kernel, kernel], [deviation, deviation])
    return softened_11HW
