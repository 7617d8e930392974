"""Does a map change when weights are randomised, and stay when the picture hardly changes?

After Adebayo et al. 2018, "Sanity checks for saliency maps": a method whose map does not change
when weights are randomised shows the picture, not what the network learnt.
Shapes: B images, C colours, H W pixels, h w cells of the map, N cells in one dimension.
"""

from __future__ import annotations

import copy
import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

VERSION = 1  # of the randomisation, the noise and the comparison

Share = Literal["head", "half", "whole"]
SHARES: tuple[Share, ...] = get_args(Share)
STATISTICS = ("running_mean", "running_var")  # of batch normalisation: not parameters, but learnt


def randomise(network: nn.Module, share: Share, seed: int) -> nn.Module:
    """A copy with random weights in its last module, in the upper half of its modules, or in all.

    Modules with weights count, in the order of registration, whose last is next to the logits. A
    larger share randomises the same modules in the same way, and more.
    """
    randomised = copy.deepcopy(network)
    modules = [
        module for module in randomised.modules() if any(True for _ in module.parameters(False))
    ]
    count = {"head": 1, "half": math.ceil(len(modules) / 2), "whole": len(modules)}[share]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in modules[::-1][:count]:
            _randomise_module(module, generator)
    return randomised


def rank_correlation(map_Bhw: Tensor, other_Bhw: Tensor) -> Tensor:
    """Spearman's, of the magnitudes of two maps of each image; NaN where one map is constant."""
    rank_BN, other_BN = (_centred_ranks(one.abs().flatten(1)) for one in (map_Bhw, other_Bhw))
    spread_B = rank_BN.square().sum(1).sqrt() * other_BN.square().sum(1).sqrt()
    return ((rank_BN * other_BN).sum(1) / spread_B).to(map_Bhw)


def add_noise(image_BCHW: Tensor, seed: int, deviation: float = 0.05) -> Tensor:
    """The same noise on every image, this many times its own standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    noise_CHW = torch.randn(image_BCHW.shape[1:], generator=generator).to(image_BCHW)
    spread_B111 = image_BCHW.std((1, 2, 3), keepdim=True)
    return image_BCHW + deviation * spread_B111 * noise_CHW


def _randomise_module(module: nn.Module, generator: torch.Generator) -> None:
    """Random weights of the same scale, so that activations neither vanish nor explode.

    Weights are drawn from a normal of mean zero and their root mean square. Vectors (biases, batch
    normalisation with its statistics) are shuffled, those of one length together, so that a
    channel's gain stays with its variance.
    """
    vectors: list[Tensor] = [weight for weight in module.parameters(False) if weight.ndim < 2]
    vectors += [value for name, value in module.named_buffers(recurse=False) if name in STATISTICS]
    permutations: dict[int, Tensor] = {}
    for vector in vectors:
        length = vector.numel()
        if length not in permutations:
            permutations[length] = torch.randperm(length, generator=generator).to(vector.device)
        vector.copy_(vector.flatten()[permutations[length]].view_as(vector))
    for weight in module.parameters(False):
        if weight.ndim >= 2:
            noise = torch.randn(weight.shape, generator=generator).to(weight)
            weight.copy_(noise * weight.square().mean().sqrt())


def _centred_ranks(value_BN: Tensor) -> Tensor:
    """From the smallest, ties get their mean rank; less the mean of all; float64."""
    rising_BN = value_BN.sort(1).values
    below_BN = torch.searchsorted(rising_BN, value_BN)
    up_to_BN = torch.searchsorted(rising_BN, value_BN, right=True)
    rank_BN = (below_BN + up_to_BN).double() / 2
    rank_BN = rank_BN.where(value_BN.isfinite().all(1, keepdim=True), torch.nan)
    return rank_BN - rank_BN.mean(1, keepdim=True)
