"""A Gaussian over the cells of a grid, as products of matrices: exact on every device, no padding.

Shapes: h w cells, n cells of one side.
"""

from __future__ import annotations

import torch
from torch import Tensor


def smooth(value_hw: Tensor, sigma: float) -> Tensor:
    """The value (..., h, w), averaged over cells around by a Gaussian; reflected at the edges."""
    rows_nn, columns_nn = (
        smoothing(side, sigma).to(value_hw) for side in (value_hw.shape[-2], value_hw.shape[-1])
    )
    return rows_nn @ value_hw @ columns_nn.mT


def smoothing(cells: int, sigma: float) -> Tensor:
    """(n, n): what each cell gives to the cell of the row; each row adds up to 1.

    A window of 2 round(2 sigma) + 1 cells, as the information bottleneck's authors have it. Cells
    beyond the edge are those before it, mirrored at the last one, as often as it takes.
    """
    reach, period = round(2 * sigma), max(1, 2 * (cells - 1))
    away = torch.arange(-reach, reach + 1)
    weight = torch.exp(-(away.double() ** 2) / (2 * sigma**2)) if reach else torch.ones(1)
    there = (torch.arange(cells)[:, None] + away).remainder(period)
    source = torch.minimum(there, period - there) if cells > 1 else torch.zeros_like(there)
    share = (weight / weight.sum()).to(torch.float32)
    return torch.zeros(cells, cells).scatter_add_(1, source, share.expand(cells, -1).contiguous())
