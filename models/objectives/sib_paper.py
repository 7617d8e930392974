"""The Spatial Information Bottleneck as its authors train it (Shu, Meng, Luo 2025).

The gradient R of half the squared softmax norm, with respect to the image, gives its own mask. Its
variance outside is made small, its dependence on the image inside is made large. R vanishes where
the softmax is sure, and the variance is then so small that its exponential is a constant: the parts
are reported without their weights, so that this can be seen.
Shapes: B images, C=3 colours, H W pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.objectives.dependence import flat, hsic
from models.objectives.erm import Erm
from models.objectives.soft_mask import soft_mask
from models.objectives.step import (
    Batch,
    Learner,
    Loss,
    at_least_float32,
    classification_loss,
    differentiable_twice,
)


@dataclass(frozen=True)
class SibPaper(Erm):
    """The published form and weights."""

    background: float = 1000.0  # weight of exp(variance outside)
    foreground: float = 0.01  # weight of exp(-dependence inside)

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        with differentiable_twice():
            image_BCHW = batch.image_BCHW.detach().requires_grad_(True)
            logits_BK = at_least_float32(learner.network(image_BCHW.clone()))
            cross_entropy = classification_loss(logits_BK, batch)
            gradient_BCHW = softmax_gradient(logits_BK, image_BCHW)
            variance, dependence = terms(gradient_BCHW, batch.image_BCHW)
        extra = self.background * variance.exp() + self.foreground * (-dependence).exp()
        return Loss(
            cross_entropy + extra,
            {"cross_entropy": cross_entropy, "background": variance, "foreground": dependence},
        )


def softmax_gradient(logits_BK: Tensor, image_BCHW: Tensor) -> Tensor:
    """R: gradient of half the squared softmax norm with respect to the image, with its graph."""
    size = logits_BK.softmax(1).square().sum() / 2
    (gradient_BCHW,) = torch.autograd.grad(size, image_BCHW, create_graph=True)
    return gradient_BCHW


def terms(gradient_BCHW: Tensor, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean variance of R outside its own soft mask; HSIC of R and the image inside it."""
    mask_B1HW = soft_mask(gradient_BCHW)[:, None]
    outside_BCHW = gradient_BCHW * (1 - mask_B1HW)
    variance = outside_BCHW.var((1, 2, 3)).mean()
    inside = flat(gradient_BCHW * mask_B1HW), flat(image_BCHW * mask_B1HW)
    return variance, hsic(*inside)
