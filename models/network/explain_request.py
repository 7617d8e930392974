"""What methods that run the network themselves get, and the calls that they share.

Shapes: B images, N pictures made of them, C colours, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.errors import UserError
from models.network.grid import Grid
from models.network.statistics import Statistics


@dataclass(frozen=True)
class ExplainRequest:
    """Images to explain; the network is in evaluation mode and frozen (`as_found`) meanwhile."""

    network: nn.Module
    image_BCHW: Tensor  # normalised: zero is the mean of the data
    target_B: Tensor  # the class to explain
    batch_size: int = 64  # most pictures in one call of the network
    grid: Grid | None = None  # of the layer with cells, for methods that need one
    statistics: Statistics | None = None  # of that layer's activations over the data

    def batches(self, copies: int) -> Iterator[ExplainRequest]:
        """The same for a few images at a time, so that this many copies of each fit one call."""
        size = max(1, self.batch_size // copies)
        images = torch.split(self.image_BCHW, size)
        for image_bCHW, target_b in zip(images, torch.split(self.target_B, size), strict=True):
            yield replace(self, image_BCHW=image_bCHW, target_B=target_b)

    def logit_of(self, image_NCHW: Tensor, target_N: Tensor) -> Tensor:
        """The target's logit of each picture; with a graph where gradients are on."""
        return self.logits_of(image_NCHW).gather(1, target_N[:, None])[:, 0]

    def logits_of(self, image_NCHW: Tensor) -> Tensor:
        """Logits (N, K) of each picture."""
        logits_NK: Tensor = self.network(image_NCHW.clone())  # some networks work in place
        return logits_NK

    def gradient_of(self, image_NCHW: Tensor, target_N: Tensor) -> Tensor:
        """Gradient of each picture's target logit; one forward and one backward."""
        with torch.enable_grad():
            image_NCHW = image_NCHW.detach().requires_grad_(True)
            score = self.logit_of(image_NCHW, target_N).sum()
            return gradient(score, image_NCHW)


def gradient(score: Tensor, source: Tensor) -> Tensor:
    """Gradient of a score with respect to its source; refuses a network that gives none."""
    result: Tensor | None = None
    if score.requires_grad:
        (result,) = torch.autograd.grad(score, source, allow_unused=True)
    if result is None:
        raise UserError(
            "the logits do not follow from the picture by a gradient: choose --methods without "
            "one, such as rise"
        )
    return result
