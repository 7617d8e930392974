"""How far a map lies on the foreground. Shapes: B images, H W pixels, h w cells of the map.

A mask holds the foreground's share of each pixel or cell, 0 to 1; energy is the map's magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

LEAST_HEAT = 0.1  # of the largest; less counts as zero
QUANTILES = 11  # of the remaining heat


def to_cells(mask_BHW: Tensor, cells: tuple[int, int]) -> Tensor:
    """Area average of the mask over the map's cells, exact also if cells cut pixels."""
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
    """Mean lift of each map on the masks of M other images: the effect of usual positions."""
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


def top_k(map_Bhw: Tensor, mask_BHW: Tensor) -> Tensor:
    """Share of the k hottest pixels in a foreground of k pixels (Schulz et al. 2020).

    NaN for an empty foreground and for a constant map.
    """
    heat_BN = enlarge(map_Bhw.abs(), mask_BHW.shape[1:]).flatten(1)
    inside_BN = mask_BHW.flatten(1) >= 0.5
    pixels_B1 = inside_BN.sum(1, keepdim=True)
    hits_B = (inside_BN & (ranks(heat_BN) < pixels_B1)).sum(1)
    return (hits_B / pixels_B1[:, 0]).where(is_ordered(map_Bhw.abs()), torch.nan)


def effective_heat_ratio(map_Bhw: Tensor, mask_BHW: Tensor) -> Tensor:
    """Heat inside the foreground / hot pixels, over rising thresholds (Zhang et al. 2021).

    Heat is the magnitude / its largest. NaN for an empty foreground and for a map of zeros.
    """
    energy_BN = enlarge(map_Bhw.abs(), mask_BHW.shape[1:]).flatten(1).double()
    heat_BN = energy_BN / energy_BN.amax(1, keepdim=True)
    heat_BN = heat_BN.masked_fill(heat_BN < LEAST_HEAT, 0)  # NaN stays NaN
    inside_BN = mask_BHW.flatten(1) >= 0.5
    ratio_QB = torch.stack(
        [
            (heat_BN * (is_hot_BN & inside_BN)).sum(1) / is_hot_BN.sum(1)
            for is_hot_BN in (heat_BN >= least_B1 for least_B1 in _thresholds(heat_BN))
        ]
    )
    ratio_B = torch.trapezoid(ratio_QB, dx=1 / (QUANTILES - 1), dim=0).to(map_Bhw)
    return ratio_B.where(inside_BN.any(1), torch.nan)


def enlarge(map_Bhw: Tensor, size: Sequence[int]) -> Tensor:
    """Maps enlarged bilinearly to these rows and columns."""
    return functional.interpolate(map_Bhw[:, None], tuple(size), mode="bilinear")[:, 0]


def ranks(value_BN: Tensor) -> Tensor:
    """How many values come before each: the larger ones, and equal ones at earlier positions."""
    order_BN = value_BN.argsort(dim=1, descending=True, stable=True)
    position_BN = torch.arange(value_BN.shape[1], device=value_BN.device).expand_as(order_BN)
    return torch.empty_like(order_BN).scatter_(1, order_BN, position_BN)


def is_ordered(map_Bhw: Tensor) -> Tensor:
    """Can the cells be ranked? Not if all are equal or one is not finite."""
    cell_BN = map_Bhw.flatten(1)
    return cell_BN.isfinite().all(1) & (cell_BN.amax(1) > cell_BN.amin(1))


def _thresholds(heat_BN: Tensor) -> Iterator[Tensor]:
    """(B, 1) for each quantile of the nonzero heat, at most 0.99 of the largest."""
    rising_BN = heat_BN.sort(1).values
    zeros_B1 = (heat_BN == 0).sum(1, keepdim=True).clamp(max=heat_BN.shape[1] - 1)
    for step in range(QUANTILES):
        tenths_B1 = step * (heat_BN.shape[1] - 1 - zeros_B1)  # integers, so that ties stay ties
        index_B1, rest_B1 = tenths_B1 // (QUANTILES - 1), tenths_B1 % (QUANTILES - 1)
        low_B1, high_B1 = (
            rising_BN.gather(1, zeros_B1 + index_B1 + more_B1)
            for more_B1 in (torch.zeros_like(rest_B1), rest_B1.sign())
        )
        weight_B1 = (rest_B1 / (QUANTILES - 1)).to(heat_BN)
        yield torch.lerp(low_B1, high_B1, weight_B1).clamp(max=0.99)


def _overlaps(cells: int, pixels: int) -> Tensor:
    """(cells, pixels): each pixel's share of the cell's width."""
    edges = torch.linspace(0, pixels, cells + 1, dtype=torch.float64)
    pixel = torch.arange(pixels)
    end = torch.minimum(pixel + 1, edges[1:, None])
    start = torch.maximum(pixel, edges[:-1, None])
    return (end - start).clamp(0) * cells / pixels
