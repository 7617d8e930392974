"""Interventions on pictures: the object removed, the background removed, the background exchanged.

Shapes: B images, C=3 colours, H W pixels, K classes. Images are normalised, so that zero is the
mean of the data; a mask holds the foreground's share of each pixel, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import ForwardError
from models.fills import Fill
from models.holes import fill_holes
from models.network.capture import as_found, record_layer
from models.network.features import as_vectors, pool, project
from models.network.grid import Grid

VERSION = 2  # of the pixels that each intervention gives
EMPTY = 1e-3  # pixels; a smaller background is the rounding error of a mask that covers all

Answer = TypeVar("Answer")
Features = list[np.ndarray | None]  # of each image, as models/network/features.py has them


def remove_object(image_BCHW: Tensor, mask_BHW: Tensor, fill: Fill = "mean") -> Tensor:
    """The object replaced by its background's mean colour, a blur of it, the data's mean, or what
    is around it, without an outline (models/holes.py)."""
    if fill == "inpaint":
        return fill_holes(image_BCHW, mask_BHW)
    return exchange_background(
        image_BCHW, mask_BHW, _filling(image_BCHW, mask_BHW, fill), keep="background"
    )


def remove_background(image_BCHW: Tensor, mask_BHW: Tensor) -> Tensor:
    """The object alone, on the data's mean."""
    return image_BCHW * mask_BHW[:, None]


def exchange_background(
    image_BCHW: Tensor,
    mask_BHW: Tensor,
    other_BCHW: Tensor,
    keep: Literal["object", "background"] = "object",
) -> Tensor:
    """One part of each image kept, the rest taken from another image."""
    kept_B1HW = mask_BHW[:, None] if keep == "object" else 1 - mask_BHW[:, None]
    return torch.lerp(other_BCHW.expand_as(image_BCHW), image_BCHW, kept_B1HW.expand_as(image_BCHW))


def predict(network: nn.Module, image_BCHW: Tensor) -> Tensor:
    """Probabilities (B, K), without a gradient."""
    with as_found(network), torch.no_grad():
        logits_BK: Tensor = network(image_BCHW)
        return logits_BK.softmax(1)


def predict_each(network: nn.Module, image_BCHW: Tensor, classes: int) -> Tensor:
    """The same; NaN of a picture for which the user's network raises, also alone."""
    unknown_1K = image_BCHW.new_full((1, classes), torch.nan)
    answers = _ask_each(partial(predict, network), image_BCHW)
    return torch.cat([unknown_1K if answer is None else answer for answer in answers])


def predict_with_features(
    network: nn.Module, grid: Grid | None, image_BCHW: Tensor, classes: int
) -> tuple[Tensor, Features]:
    """The same, with the features of the grid's layer from that pass; None without a grid."""

    def ask(image_bCHW: Tensor) -> tuple[Tensor, Features]:
        with record_layer(network, grid, cut=True) as outputs:
            probability_bK = predict(network, image_bCHW)
            if grid is None or not outputs:
                return probability_bK, [None] * len(image_bCHW)
            activation_bDhw = grid.arrange(outputs[-1].detach())
            return probability_bK, as_vectors(project(pool(activation_bDhw)))

    unknown = image_BCHW.new_full((1, classes), torch.nan), [None]
    answers = [answer or unknown for answer in _ask_each(ask, image_BCHW)]
    vectors = [vector for _, some in answers for vector in some]
    return torch.cat([probability_bK for probability_bK, _ in answers]), vectors


def _ask_each(ask: Callable[[Tensor], Answer], image_BCHW: Tensor) -> list[Answer | None]:
    """What is answered of all images at once, or of parts of them; None of an image for which the
    user's network raises, also alone."""
    try:
        return [ask(image_BCHW)]
    except ForwardError:
        if len(image_BCHW) == 1:
            return [None]
    halves = image_BCHW.tensor_split(2)
    return [answer for half_bCHW in halves for answer in _ask_each(ask, half_bCHW)]


def _filling(image_BCHW: Tensor, mask_BHW: Tensor, fill: Fill) -> Tensor:
    if fill == "data":
        return torch.zeros_like(image_BCHW)
    outside_B1HW = 1 - mask_BHW[:, None]
    total_BC = (image_BCHW * outside_B1HW).sum((2, 3))
    mean_BC11 = _ratio(total_BC, outside_B1HW.sum((2, 3)))[..., None, None]
    if fill == "mean":
        return mean_BC11
    known_BCHW = exchange_background(image_BCHW, mask_BHW, mean_BC11, keep="background")
    from torchvision.transforms.v2.functional import gaussian_blur

    size = max(3, min(image_BCHW.shape[2:]) // 4 | 1)
    blurred_BCHW: Tensor = gaussian_blur(known_BCHW, [size, size])
    return blurred_BCHW


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """0, the data's mean, where there is no background."""
    return torch.where(whole > EMPTY, part / whole.clamp(min=EMPTY), torch.zeros_like(part))
