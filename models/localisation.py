"""How far a map lies on the foreground. Shapes: B images, H W pixels, h w cells of the map.

A mask holds the foreground's share of each pixel or cell, 0 to 1; energy is the map's magnitude.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_cells(mask_BHW: Tensor, cells: tuple[int, int]) -> Tensor:
    """Area average of the mask over the map's cells, exact where cells divide no pixels evenly."""
    rows_hH = _overlaps(cells[0], mask_BHW.shape[1]).to(mask_BHW)
    columns_wW = _overlaps(cells[1], mask_BHW.shape[2]).to(mask_BHW)
    return torch.einsum("hH,bHW,wW->bhw", rows_hH, mask_BHW, columns_wW)


def foreground_share(map_Bhw: Tensor, mask_Bhw: Tensor) -> Tensor:
    """Energy of the map inside the foreground / total energy; NaN for a map of zeros."""
    energy_Bhw = map_Bhw.abs()
    return (energy_Bhw * mask_Bhw).sum((1, 2)) / energy_Bhw.sum((1, 2))


def lift(share_B: Tensor, area_B: Tensor) -> Tensor:
    """How many times chance: share / area share of the foreground. NaN for an empty foreground."""
    return torch.where(area_B > 0, share_B / area_B, torch.nan)


def lift_elsewhere(map_Bhw: Tensor, other_Mhw: Tensor) -> Tensor:
    """Mean lift of each map on the masks of M other images: what the middle of a picture gives."""
    energy_Bhw = map_Bhw.abs()
    share_BM = torch.einsum("bhw,mhw->bm", energy_Bhw, other_Mhw) / energy_Bhw.sum((1, 2))[:, None]
    return (share_BM / other_Mhw.mean((1, 2))).mean(1)


def pointing(map_Bhw: Tensor, mask_BHW: Tensor) -> Tensor:
    """Does the centre of the map's largest cell lie in the foreground?"""
    rows, columns = map_Bhw.shape[1:]
    height, width = mask_BHW.shape[1:]
    largest_B = map_Bhw.flatten(1).argmax(1)
    row_B = ((largest_B // columns + 0.5) * height / rows).long()
    column_B = ((largest_B % columns + 0.5) * width / columns).long()
    image_B = torch.arange(len(map_Bhw), device=map_Bhw.device)
    return mask_BHW[image_B, row_B, column_B] >= 0.5


def _overlaps(cells: int, pixels: int) -> Tensor:
    """(cells, pixels): each pixel's share of the cell's width."""
    edges = torch.linspace(0, pixels, cells + 1, dtype=torch.float64)
    pixel = torch.arange(pixels)
    end = torch.minimum(pixel + 1, edges[1:, None])
    start = torch.maximum(pixel, edges[:-1, None])
    return (end - start).clamp(0) * cells / pixels
