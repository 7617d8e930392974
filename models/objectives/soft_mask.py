"""The mask that S-IB derives from its own gradient map, and the soft quantile behind it.

Shapes: B images, C colours, H W pixels, N values.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

SHARPNESS = 10.0  # of both sigmoids
HIGH = 0.8  # quantile of heat and of density above which there is foreground
ENDS = (0.05, 0.95)  # quantiles that the magnitudes are scaled between
TEMPERATURE = 0.1  # of the soft quantile, in order statistics
WINDOW = 31 / 224  # of the picture's side: 31 pixels where the paper trains
NEAR = 3  # order statistics on either side; the others weigh less than 1e-13
TINY = 1e-8


def soft_mask(gradient_BCHW: Tensor) -> Tensor:
    """mask_BHW from 0 to 1, differentiable: where the map's large values lie densely."""
    grey_BHW = gradient_BCHW.mean(1).abs()
    low_B, high_B = (soft_quantile(grey_BHW.flatten(1), at)[:, None, None] for at in ENDS)
    scaled_BHW = (grey_BHW - low_B) / (high_B - low_B + TINY)
    window = round(WINDOW * grey_BHW.shape[1]) // 2 * 2 + 1
    hot_B1HW = _above(scaled_BHW)[:, None]
    dense_BHW = avg_pool2d(hot_B1HW, window, stride=1, padding=window // 2)[:, 0]
    return _above(dense_BHW)


def soft_quantile(value_BN: Tensor, at: float) -> Tensor:
    """(B,): mean of the order statistics near the quantile, weighted by nearness."""
    rising_BN = value_BN.sort(1).values
    position = at * (value_BN.shape[1] - 1)
    first, end = max(0, int(position) - NEAR), min(value_BN.shape[1], int(position) + NEAR + 2)
    # In Python's double precision: single is too coarse for a position among many pixels.
    distance_n = value_BN.new_tensor([abs(i - position) for i in range(first, end)])
    return rising_BN[:, first:end] @ torch.softmax(-distance_n / TEMPERATURE, 0)


def _above(value_BHW: Tensor) -> Tensor:
    """From 0 to 1: is the value above the picture's own high quantile?"""
    high_B11 = soft_quantile(value_BHW.flatten(1), HIGH)[:, None, None]
    return torch.sigmoid(SHARPNESS * (value_BHW - high_B11))
