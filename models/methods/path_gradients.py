"""Gradients averaged along a path or around a picture: Integrated Gradients and SmoothGrad.

Shapes: B images of which b at a time, N copies of each of which n at a time, C colours, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models.methods.gradients import saliency
from models.methods.settings import IntegratedGradientsSettings, SmoothGradSettings
from models.network.explain_request import ExplainRequest


def integrated_gradients(request: ExplainRequest, settings: IntegratedGradientsSettings) -> Tensor:
    """Sundararajan et al. 2017, equation 1, by Gauss-Legendre quadrature: signed map_BHW.

    Adds up to the target's logit less that of the mean of the data, which is zero.
    """
    node_N, weight_N = _quadrature(settings.steps)
    gradient_BCHW = torch.zeros_like(request.image_BCHW)
    chunks = zip(
        *(torch.split(value, request.batch_size) for value in (node_N, weight_N)), strict=True
    )
    for node_n, weight_n in chunks:
        gradient_BCHW += _weighted_gradient(request, weight_n, partial(_scale, node_n))
    return (request.image_BCHW * gradient_BCHW).sum(1)


def smooth_grad(request: ExplainRequest, settings: SmoothGradSettings) -> Tensor:
    """Smilkov et al. 2017: the saliency of the mean gradient among noisy copies; map_BHW >= 0."""
    weight_N = torch.full((settings.draws,), 1 / settings.draws)
    gradient_BCHW = torch.zeros_like(request.image_BCHW)
    generator = torch.Generator().manual_seed(settings.seed)
    for weight_n in torch.split(weight_N, request.batch_size):
        # One by one, so that the draws do not depend on how many fit one call.
        draws = [torch.randn(request.image_BCHW.shape[1:], generator=generator) for _ in weight_n]
        noise_nCHW = settings.noise * torch.stack(draws).to(request.image_BCHW)
        gradient_BCHW += _weighted_gradient(request, weight_n, partial(_add_noise, noise_nCHW))
    return saliency(request.image_BCHW, gradient_BCHW)


def _weighted_gradient(
    request: ExplainRequest, weight_n: Tensor, copies: Callable[[Tensor], Tensor]
) -> Tensor:
    """The sum over an image's copies (b, n, C, H, W) of weight times gradient; (B, C, H, W)."""
    return torch.cat(list(_weighted_gradients(request, weight_n.to(request.image_BCHW), copies)))


def _weighted_gradients(
    request: ExplainRequest, weight_n: Tensor, copies: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    count = len(weight_n)
    for batch in request.batches(count):
        image_NCHW = copies(batch.image_BCHW).flatten(0, 1)
        target_N = batch.target_B.repeat_interleave(count)
        gradient_NCHW = batch.gradient_of(image_NCHW, target_N)
        gradient_bnCHW = gradient_NCHW.view(-1, count, *gradient_NCHW.shape[1:])
        yield torch.einsum("bnchw,n->bchw", gradient_bnCHW, weight_n)


def _scale(node_n: Tensor, image_bCHW: Tensor) -> Tensor:
    """At each node of the path from zero to the image."""
    return image_bCHW[:, None] * node_n.to(image_bCHW)[:, None, None, None]


def _add_noise(noise_nCHW: Tensor, image_bCHW: Tensor) -> Tensor:
    """With noise in units of the image's own range."""
    low_b, high_b = image_bCHW.flatten(1).aminmax(dim=1)
    return image_bCHW[:, None] + (high_b - low_b)[:, None, None, None, None] * noise_nCHW


def _quadrature(steps: int) -> tuple[Tensor, Tensor]:
    """Nodes between 0 and 1 and their weights, which add up to 1; float64."""
    node_N, weight_N = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((1 + node_N) / 2), torch.from_numpy(weight_N / 2)
