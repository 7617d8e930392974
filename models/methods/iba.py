"""Information bottleneck attribution (Schulz et al. 2020): how many bits must pass in each cell.

Noise replaces part of a layer's activations; how much is optimised for each image, so that the
target stays probable while little information passes. The information that passes is the map.
Shapes: B images, n noise copies, D feature channels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from models.methods.settings import IbaSettings
from models.methods.smoothing import smooth
from models.network.explain_request import ExplainRequest
from models.network.head import head_of
from models.network.statistics import Statistics

START_ALPHA = 5.0  # of alpha: nearly all passes
LARGEST_LAMBDA = 1 - 1e-6  # 1 would be infinitely many bits


def iba(request: ExplainRequest, settings: IbaSettings) -> Tensor:
    """map_Bhw >= 0: bits that pass in each cell of the layer, all channels together.

    Tokens before the cells pass unchanged: what a class token has gathered before the layer is not
    on the map.
    """
    return torch.cat([_explain_batch(batch, settings) for batch in request.batches(1)])


def _explain_batch(batch: ExplainRequest, settings: IbaSettings) -> Tensor:
    """Of images that fit one call, by passes through the head alone."""
    if batch.grid is None or batch.statistics is None:
        raise ValueError("iba needs a layer and its statistics")
    most = max(1, batch.batch_size // len(batch.image_BCHW))  # copies of all images in one pass
    copies = min(most, settings.copies)
    head = head_of(batch.network, batch.grid, batch.image_BCHW, copies)
    activation_BDhw = head.activation_BDhw
    statistics = batch.statistics.to(activation_BDhw.device)
    alpha_BDhw = torch.full_like(activation_BDhw, START_ALPHA).requires_grad_(True)
    optimiser = Adam([alpha_BDhw], lr=settings.rate)
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.steps):
        with torch.enable_grad():
            lambda_BDhw = smooth(alpha_BDhw.sigmoid(), settings.sigma).clamp(max=LARGEST_LAMBDA)
            pass_BDhw = lambda_BDhw.detach().requires_grad_(True)
            nats_BDhw = nats(pass_BDhw, activation_BDhw, statistics)
            gradient_BDhw = _gradient(settings.beta * nats_BDhw.mean((1, 2, 3)).sum(), pass_BDhw)
            for noise_nDhw in _draw_noise(statistics, settings, generator, copies):
                mixed_nBDhw = mix_noise(pass_BDhw, activation_BDhw, noise_nDhw, statistics)
                logits_NK = head(mixed_nBDhw.flatten(0, 1))
                target_N = batch.target_B.repeat(len(noise_nDhw))
                loss = cross_entropy(logits_NK, target_N, reduction="sum") / settings.copies
                gradient_BDhw += _gradient(loss, pass_BDhw)
            alpha_BDhw.grad = _gradient(lambda_BDhw, alpha_BDhw, gradient_BDhw)
        optimiser.step()
    return nats_BDhw.detach().sum(1) / math.log(2)


def nats(lambda_BDhw: Tensor, activation_BDhw: Tensor, statistics: Statistics) -> Tensor:
    """Information that passes in each element: KL(z | activation || noise), in closed form."""
    normal_BDhw = (activation_BDhw - statistics.mean_Dhw) / statistics.deviation_Dhw
    rest_BDhw = 1 - lambda_BDhw
    nats_BDhw = (
        (lambda_BDhw * normal_BDhw).square() + rest_BDhw.square() - 1
    ) / 2 - rest_BDhw.log()
    return nats_BDhw * statistics.active_Dhw


def mix_noise(
    lambda_BDhw: Tensor, activation_BDhw: Tensor, noise_nDhw: Tensor, statistics: Statistics
) -> Tensor:
    """z (n, B, D, h, w): activations mixed with noise that is distributed as in the data."""
    noise_n1Dhw = (statistics.mean_Dhw + statistics.deviation_Dhw * noise_nDhw)[:, None]
    z_nBDhw = lambda_BDhw * activation_BDhw + (1 - lambda_BDhw) * noise_n1Dhw
    return z_nBDhw * statistics.active_Dhw


def _draw_noise(
    statistics: Statistics, settings: IbaSettings, generator: torch.Generator, most: int
) -> Iterator[Tensor]:
    """The unit noise of one step (n, D, h, w), at most `most` copies at a time."""
    for start in range(0, settings.copies, most):
        count = min(most, settings.copies - start)
        # One by one: torch draws other numbers when it draws several at a time.
        drawn = [torch.randn(statistics.mean_Dhw.shape, generator=generator) for _ in range(count)]
        yield torch.stack(drawn).to(statistics.mean_Dhw.device)


def _gradient(score: Tensor, source: Tensor, weight: Tensor | None = None) -> Tensor:
    (gradient,) = torch.autograd.grad(score, source, weight)
    return gradient
