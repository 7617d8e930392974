"""How far a map lies on the foreground. Shapes: B images, H W pixels, h w cells of the map.

A mask holds the foreground's share of each pixel or cell, 0 to 1; energy is the map's magnitude.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def to_cells(mask_BHW: Tensor, cells: tuple[int, int]) -> Tensor:
    """Area average of the mask over the map's cells."""
    return functional.adaptive_avg_pool2d(mask_BHW[:, None], cells)[:, 0]


def foreground_share(map_Bhw: Tensor, mask_Bhw: Tensor) -> Tensor:
    """Energy of the map inside the foreground / total energy; NaN for a map of zeros."""
    energy_Bhw = map_Bhw.abs()
    return (energy_Bhw * mask_Bhw).sum((1, 2)) / energy_Bhw.sum((1, 2))


def lift(share_B: Tensor, area_B: Tensor) -> Tensor:
    """How many times chance: share / area share of the foreground. NaN for an empty foreground."""
    return torch.where(area_B > 0, share_B / area_B, torch.nan)


def pointing(map_Bhw: Tensor, mask_BHW: Tensor) -> Tensor:
    """Does the centre of the map's largest cell lie in the foreground?"""
    rows, columns = map_Bhw.shape[1:]
    height, width = mask_BHW.shape[1:]
    largest_B = map_Bhw.flatten(1).argmax(1)
    row_B = ((largest_B // columns + 0.5) * height / rows).long()
    column_B = ((largest_B % columns + 0.5) * width / columns).long()
    image_B = torch.arange(len(map_Bhw), device=map_Bhw.device)
    return mask_BHW[image_B, row_B, column_B] >= 0.5
