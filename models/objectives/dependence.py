"""How much two descriptions of the same images depend on each other. Shapes: B images, N values."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

TINY = 1e-12


def hsic(one_BN: Tensor, other_BN: Tensor) -> Tensor:
    """Hilbert-Schmidt independence criterion with linear kernels of rows of length 1 (biased)."""
    one_BB, other_BB = _centred(one_BN), _centred(other_BN)
    return (one_BB * other_BB).sum() / (len(one_BN) - 1) ** 2


def cka(one_BN: Tensor, other_BN: Tensor) -> Tensor:
    """HSIC, normalised: 1 where both are the same up to rotation and scale."""
    one_BB, other_BB = _centred(one_BN), _centred(other_BN)
    sizes = one_BB.square().sum() * other_BB.square().sum()
    return (one_BB * other_BB).sum() / (sizes + TINY).sqrt()


def _centred(value_BN: Tensor) -> Tensor:
    row_BN = normalize(value_BN, dim=1)
    kernel_BB = row_BN @ row_BN.T
    kernel_BB = kernel_BB - kernel_BB.mean(0, keepdim=True)
    centred_BB: Tensor = kernel_BB - kernel_BB.mean(1, keepdim=True)
    return centred_BB


def flat(value_BCHW: Tensor) -> Tensor:
    """One row per image."""
    return torch.flatten(value_BCHW, 1)
