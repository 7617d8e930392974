"""Information bottleneck attribution (Schulz et al. 2020): how many bits must pass in each cell.

Noise replaces part of a layer's activations; how much is optimised for each image, so that the
target stays probable while little information passes. What does pass is the map.
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
from models.network.head import head_of
from models.network.question import Question
from models.network.statistics import Statistics

START = 5.0  # of alpha: nearly all passes
MOST = 1 - 1e-6  # of lambda: all of it would be infinitely many bits


def iba(asked: Question, settings: IbaSettings) -> Tensor:
    """map_Bhw >= 0: bits that pass in each cell of the layer, all channels together.

    Tokens that are no cells pass as they are: what a class token has gathered before the layer is
    not on the map.
    """
    return torch.cat([_bits(part, settings) for part in asked.parts(1)])


def _bits(asked: Question, settings: IbaSettings) -> Tensor:
    """Of images that fit the room, by passes through the head alone."""
    if asked.grid is None or asked.statistics is None:
        raise ValueError("the bottleneck needs a layer and its statistics")
    room = max(1, asked.room // len(asked.image_BCHW))  # copies of all images in one pass
    copies = min(room, settings.copies)
    head = head_of(asked.network, asked.grid, asked.image_BCHW, copies)
    activation_BDhw = head.activation_BDhw
    statistics = asked.statistics.to(activation_BDhw.device)
    alpha_BDhw = torch.full_like(activation_BDhw, START).requires_grad_(True)
    optimiser = Adam([alpha_BDhw], lr=settings.rate)
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.steps):
        with torch.enable_grad():
            lambda_BDhw = smooth(alpha_BDhw.sigmoid(), settings.sigma).clamp(max=MOST)
            pass_BDhw = lambda_BDhw.detach().requires_grad_(True)
            nats_BDhw = nats(pass_BDhw, activation_BDhw, statistics)
            pull_BDhw = _gradient(settings.beta * nats_BDhw.mean((1, 2, 3)).sum(), pass_BDhw)
            for noise_nDhw in _noise(statistics, settings, generator, copies):
                let_nBDhw = let_through(pass_BDhw, activation_BDhw, noise_nDhw, statistics)
                logits_NK = head(let_nBDhw.flatten(0, 1))
                target_N = asked.target_B.repeat(len(noise_nDhw))
                loss = cross_entropy(logits_NK, target_N, reduction="sum") / settings.copies
                pull_BDhw += _gradient(loss, pass_BDhw)
            alpha_BDhw.grad = _gradient(lambda_BDhw, alpha_BDhw, pull_BDhw)
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


def let_through(
    lambda_BDhw: Tensor, activation_BDhw: Tensor, noise_nDhw: Tensor, statistics: Statistics
) -> Tensor:
    """z (n, B, D, h, w): the activation as far as it passes, noise like the data's for the rest."""
    like_n1Dhw = (statistics.mean_Dhw + statistics.deviation_Dhw * noise_nDhw)[:, None]
    z_nBDhw = lambda_BDhw * activation_BDhw + (1 - lambda_BDhw) * like_n1Dhw
    return z_nBDhw * statistics.active_Dhw


def _noise(
    statistics: Statistics, settings: IbaSettings, generator: torch.Generator, room: int
) -> Iterator[Tensor]:
    """A step's copies (n, D, h, w) of unit noise, at most so many at a time."""
    for start in range(0, settings.copies, room):
        count = min(room, settings.copies - start)
        # One by one: torch draws other numbers when it draws more of them at a time.
        drawn = [torch.randn(statistics.mean_Dhw.shape, generator=generator) for _ in range(count)]
        yield torch.stack(drawn).to(statistics.mean_Dhw.device)


def _gradient(score: Tensor, source: Tensor, weight: Tensor | None = None) -> Tensor:
    (gradient,) = torch.autograd.grad(score, source, weight)
    return gradient
