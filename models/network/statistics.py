"""Mean and deviation of a layer's activations over a dataset, accumulated in batches.

Shapes: B images, D channels, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_DEVIATION = 0.01  # a cell that never changes would let no noise through
LEAST_ACTIVE = 0.01  # share of images in which a cell must not be zero to carry information


@dataclass(frozen=True)
class Moments:
    """Running sums that give mean and deviation; those of two sets of images merge exactly."""

    count: int
    mean_Dhw: Tensor  # float64
    spread_Dhw: Tensor  # float64; sum of squared distances from the mean
    nonzero_Dhw: Tensor  # images in which the activation is not zero

    @classmethod
    def of(cls, activation_BDhw: Tensor) -> Moments:
        value_BDhw = activation_BDhw.double().cpu()
        mean_Dhw = value_BDhw.mean(0)
        spread_Dhw = (value_BDhw - mean_Dhw).square().sum(0)
        nonzero_Dhw = (value_BDhw != 0).sum(0)
        return cls(len(value_BDhw), mean_Dhw, spread_Dhw, nonzero_Dhw)

    def merge(self, other: Moments) -> Moments:
        """Chan et al. 1983: the moments of both sets of images together."""
        count = self.count + other.count
        difference_Dhw = other.mean_Dhw - self.mean_Dhw
        return Moments(
            count,
            self.mean_Dhw + difference_Dhw * other.count / count,
            self.spread_Dhw
            + other.spread_Dhw
            + difference_Dhw.square() * self.count * other.count / count,
            self.nonzero_Dhw + other.nonzero_Dhw,
        )

    def statistics(self) -> Statistics:
        """The statistics that the bottleneck uses; of at least two images."""
        deviation_Dhw = (self.spread_Dhw / max(1, self.count - 1)).sqrt()
        return Statistics(
            self.mean_Dhw.float(),
            deviation_Dhw.float().clamp(min=LEAST_DEVIATION),
            self.nonzero_Dhw / self.count > LEAST_ACTIVE,
        )


@dataclass(frozen=True)
class Statistics:
    """Of each element of a layer's output, in the grid's arrangement (D, h, w)."""

    mean_Dhw: Tensor
    deviation_Dhw: Tensor
    active_Dhw: Tensor  # bool

    def to(self, device: torch.device) -> Statistics:
        return Statistics(*(value.to(device) for value in vars(self).values()))
