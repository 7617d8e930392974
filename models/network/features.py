"""Activations pooled to short vectors. Shapes: B images, D channels, h w cells, F numbers kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

WIDTH = 64  # most numbers per vector
VERSION = 1  # of the projection
LEAST_WEIGHT = 1e-3  # in cells; less is the rounding error of a mask that covers everything


def pool(activation_BDhw: Tensor, weight_Bhw: Tensor | None = None) -> Tensor:
    """Mean activation over all cells, or weighted by cell; NaN where the weights are zero."""
    if weight_Bhw is None:
        return activation_BDhw.mean((2, 3))
    total_B1 = weight_Bhw.sum((1, 2))[:, None]
    mean_BD = torch.einsum("bdhw,bhw->bd", activation_BDhw, weight_Bhw) / total_B1
    return torch.where(total_B1 > LEAST_WEIGHT, mean_BD, torch.nan)


def project(features_BD: Tensor) -> Tensor:
    """At most WIDTH numbers: a fixed random projection keeps distances (Johnson, Lindenstrauss)."""
    channels = features_BD.shape[1]
    if channels <= WIDTH:
        return features_BD
    generator = torch.Generator().manual_seed(channels)
    matrix_DF = torch.randn(channels, WIDTH, generator=generator) / WIDTH**0.5
    projected_BF: Tensor = features_BD @ matrix_DF.to(features_BD.device)
    return projected_BF


def as_vectors(value_BF: Tensor) -> list[np.ndarray | None]:
    """One float16 vector per image, None where a number is missing or too large, or none is."""
    array_BF = value_BF.half().cpu().numpy()
    return [row_F if row_F.size and np.isfinite(row_F).all() else None for row_F in array_BF]
