"""FullGrad (Srinivas and Fleuret 2019): the gradient of the picture and of every bias.

A piecewise linear network's logit is exactly its input times gradient plus each bias times the
gradient at that layer's output. That holds for convolutions, linear layers and BatchNorm with its
running statistics. LayerNorm and GroupNorm count with the bias that they add, as in the paper;
networks with them, or with smooth activations, are not piecewise linear and do not add up.
Shapes: B images, C colours, H W pixels, D channels, h w cells of a layer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from models.network.bias_terms import Term


def full_grad(image_BCHW: Tensor, image_gradient_BCHW: Tensor, terms: Iterable[Term]) -> Tensor:
    """map_BHW >= 0 as the authors' code sums it: magnitudes, each term scaled to 0..1, enlarged.
    Terms without rows and columns (linear layers, tokens) are left out."""
    size = image_BCHW.shape[2:]
    colours_C = image_BCHW.new_ones(image_BCHW.shape[1])
    map_BHW = _scaled_plane(colours_C, image_BCHW * image_gradient_BCHW)
    for bias_D, gradient in terms:
        if gradient.ndim == 4 and len(gradient) == len(image_BCHW):
            plane_B1hw = _scaled_plane(bias_D, gradient)[:, None]
            map_BHW += functional.interpolate(plane_B1hw, size=size, mode="bilinear")[:, 0]
    return map_BHW


def sum_contributions(
    image_BCHW: Tensor, image_gradient_BCHW: Tensor, terms: Iterable[Term]
) -> Tensor:
    """(B): the sum of all contributions, the target's logit if the network is piecewise linear.

    Proposition 1 of the paper, with the terms of all layers, also those that the map leaves out.
    """
    total_B = (image_BCHW * image_gradient_BCHW).sum((1, 2, 3))
    for bias_D, gradient in terms:
        total_B = total_B + (gradient.movedim(1, -1) @ bias_D).reshape(len(total_B), -1).sum(1)
    return total_B


def _scaled_plane(bias_D: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """(B, h, w): the sum over channels of |bias * gradient|, scaled to 0..1 for each image.

    Sums, smallest and largest values are computed without that product, which is large.
    """
    size_BDhw, weight_D = gradient_BDhw.abs(), bias_D.abs()
    total_Bhw = torch.einsum("bdhw,d->bhw", size_BDhw, weight_D)
    low_B = (size_BDhw.amin((2, 3)) * weight_D).amin(1)[:, None, None]
    high_B = (size_BDhw.amax((2, 3)) * weight_D).amax(1)[:, None, None]
    scaled_Bhw = (total_Bhw - len(weight_D) * low_B) / (high_B - low_B)
    return torch.where(high_B == low_B, 0, scaled_Bhw)
