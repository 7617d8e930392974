"""Holes filled with what is around them, so that no outline of what was there is left to read.

A hole reaches beyond its mask, since a mask's edge still shows the object. It is filled with the
part of the same picture, shifted or mirrored, that fits its rim best; what that part lacks comes
from the means around the hole. Shapes: B images, C=3 colours, H W pixels, h w of a smaller copy,
W ways to move a picture.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from models.masks import grow_masks
from models.moves import Move

GROWN = 0.02  # of the shorter side: how far a hole reaches beyond its mask
SHIFTS = (-0.5, -0.25, 0.0, 0.25, 0.5)  # of a side
COMPARED = 32  # pixels of the shorter side of the copies by which a part is chosen
RIM = 2  # of those pixels, around a hole
LOST = 4.0  # what a part that lies in the hole itself costs, in standard deviations of the data
SOFT = 0.013  # of the shorter side: standard deviation of the edge of a part
LEAST = 1e-6  # weight; where there is no more, nothing is known


WAYS = tuple(Move(*way) for way in product((False, True), SHIFTS, SHIFTS))


def fill_holes(image_BCHW: Tensor, mask_BHW: Tensor) -> Tensor:
    """Normalised images with what the masks mark filled in; zero, the mean of the data, where
    nothing is known."""
    hole_BHW = grow_masks(mask_BHW, round(GROWN * min(mask_BHW.shape[1:])))
    hole_B1HW = hole_BHW[:, None]
    known_B1HW = 1 - hole_B1HW
    smooth_BCHW = torch.lerp(
        _spread_means(image_BCHW * known_B1HW, known_B1HW),
        image_BCHW,
        known_B1HW.expand_as(image_BCHW),
    )
    filled_BCHW = smooth_BCHW.clone()
    way_B = _choose_ways(smooth_BCHW, hole_B1HW)
    for number in sorted(set(way_B.tolist())):
        row_b = (way_B == number).nonzero()[:, 0]
        filled_BCHW[row_b] = _put(WAYS[number], smooth_BCHW[row_b], hole_B1HW[row_b])
    return filled_BCHW


def _put(way: Move, smooth_BCHW: Tensor, hole_B1HW: Tensor) -> Tensor:
    """Moved pictures inside the holes, except where they have a hole themselves."""
    from torchvision.transforms.v2.functional import gaussian_blur

    size = min(hole_B1HW.shape[2:])
    own_B1HW = hole_B1HW * (1 - way.apply(hole_B1HW))
    kernel = 2 * round(3 * SOFT * size) + 1
    soft_B1HW = hole_B1HW * gaussian_blur(own_B1HW, [kernel, kernel], [SOFT * size, SOFT * size])
    return torch.lerp(smooth_BCHW, way.apply(smooth_BCHW), soft_B1HW.expand_as(smooth_BCHW))


def _choose_ways(smooth_BCHW: Tensor, hole_B1HW: Tensor) -> Tensor:
    """(B,): for each image, the way after which its picture differs least around the hole."""
    factor = max(1, min(hole_B1HW.shape[2:]) // COMPARED)
    small_BChw = functional.avg_pool2d(smooth_BCHW, factor)
    hole_B1hw = functional.max_pool2d(hole_B1HW, factor)
    rim_B1hw = grow_masks(hole_B1hw, RIM) - hole_B1hw
    costs = []
    for way in WAYS:
        apart_B1hw = (way.apply(small_BChw) - small_BChw).abs().mean(1, keepdim=True)
        costs.append(_mean(apart_B1hw, rim_B1hw) + LOST * _mean(way.apply(hole_B1hw), hole_B1hw))
    return torch.stack(costs).argmin(0)


def _mean(value_B1hw: Tensor, weight_B1hw: Tensor) -> Tensor:
    total_B = (value_B1hw * weight_B1hw).sum((1, 2, 3))
    return total_B / weight_B1hw.sum((1, 2, 3)).clamp(min=LEAST)


def _spread_means(total_BCHW: Tensor, weight_B1HW: Tensor) -> Tensor:
    """Weighted means; where no weight is, those of the finest halved picture that has some."""
    height, width = total_BCHW.shape[2:]
    mean_BCHW = total_BCHW / weight_B1HW.clamp(min=LEAST)
    if height == width == 1:
        return mean_BCHW
    total_BChw, weight_B1hw = (
        4 * functional.avg_pool2d(value, 2, ceil_mode=True) for value in (total_BCHW, weight_B1HW)
    )
    excess_B1hw = weight_B1hw.clamp(min=1)
    coarse_BChw = _spread_means(total_BChw / excess_B1hw, weight_B1hw / excess_B1hw)
    coarse_BCHW = functional.interpolate(coarse_BChw, size=(height, width), mode="bilinear")
    known_B1HW = weight_B1HW.clamp(max=1).expand_as(mean_BCHW)
    return torch.lerp(coarse_BCHW, mean_BCHW, known_B1HW)
