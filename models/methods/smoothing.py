"""Gaussians: over the cells of a grid, and over the pixels of a picture.

Over cells as matrix products: exact on every device, no padding. Shapes: h w cells, n cells of
one side; B images, C colours, H W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WINDOW, WINDOW_OF = 11, 224  # pixels of the blur's window, for pictures up to this side
SIGMA = 5 / 11  # of the window


def smooth(value_hw: Tensor, sigma: float) -> Tensor:
    """The value (..., h, w), smoothed over cells by a Gaussian; reflected at the edges."""
    rows_nn, columns_nn = (
        smoothing_matrix(side, sigma).to(value_hw)
        for side in (value_hw.shape[-2], value_hw.shape[-1])
    )
    return rows_nn @ value_hw @ columns_nn.mT


def smoothing_matrix(cells: int, sigma: float) -> Tensor:
    """(n, n): the weight of each cell in the cell of the row; each row adds up to 1.

    A window of 2 round(2 sigma) + 1 cells, as in the information bottleneck's code. Cells beyond
    the edge are mirrored at the last cell, repeatedly if need be.
    """
    reach, period = round(2 * sigma), max(1, 2 * (cells - 1))
    offset = torch.arange(-reach, reach + 1)
    weight = torch.exp(-(offset.double() ** 2) / (2 * sigma**2)) if reach else torch.ones(1)
    position = (torch.arange(cells)[:, None] + offset).remainder(period)
    source = torch.minimum(position, period - position) if cells > 1 else torch.zeros_like(position)
    share = (weight / weight.sum()).to(torch.float32)
    return torch.zeros(cells, cells).scatter_add_(1, source, share.expand(cells, -1).contiguous())


def blur(image_BCHW: Tensor) -> Tensor:
    """Blur with a Gaussian of 11 pixels and sigma 5, zeros around (Petsiuk et al. 2018).

    Wider in proportion above 224 pixels; not narrower below, where objects would stay visible.
    """
    colours = image_BCHW.shape[1]
    window = max(WINDOW, round(WINDOW * min(image_BCHW.shape[2:]) / WINDOW_OF) | 1)
    offset = torch.arange(window, device=image_BCHW.device) - window // 2
    weight = (-0.5 * (offset / (SIGMA * window)).square()).exp()
    for kernel in (weight[:, None], weight[None]):  # down, then across
        kernel_C1HW = (kernel / weight.sum()).to(image_BCHW).expand(colours, 1, *kernel.shape)
        image_BCHW = functional.conv2d(image_BCHW, kernel_C1HW, padding="same", groups=colours)
    return image_BCHW
