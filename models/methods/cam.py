"""Class activation maps from one capture. Shapes: B images, D channels, h w cells.

Each takes (activation_BDhw, gradient_BDhw) and gives map_Bhw >= 0 at the layer's own resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grad_cam(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """Selvaraju et al. 2017: channels weighted by their mean gradient."""
    weight_BD = gradient_BDhw.mean((2, 3))
    return torch.einsum("bdhw,bd->bhw", activation_BDhw, weight_BD).relu()


def grad_cam_pp(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """Chattopadhyay et al. 2018, for a logit: channels weighted by their rectified gradient.

    alpha = g^2 / (2 g^2 + g^3 sum(A)) is written as 1 / (2 + g sum(A)): the same where g is not 0,
    and without the epsilon that makes the map depend on the scale of tiny gradients.
    """
    total_BD11 = activation_BDhw.sum((2, 3), keepdim=True)
    denominator_BDhw = gradient_BDhw * total_BD11 + 2
    alpha_BDhw = torch.where(denominator_BDhw != 0, 1 / denominator_BDhw, 0)
    weight_BD = (alpha_BDhw * gradient_BDhw.relu()).sum((2, 3))
    return torch.einsum("bdhw,bd->bhw", activation_BDhw, weight_BD).relu()


def hires_cam(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """Draelos and Carin 2020: activation times gradient, summed over channels."""
    return (activation_BDhw * gradient_BDhw).sum(1).relu()


def layer_cam(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """Jiang et al. 2021: each cell weighted by its own rectified gradient."""
    return (activation_BDhw * gradient_BDhw.relu()).sum(1).relu()
