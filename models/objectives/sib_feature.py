"""The Spatial Information Bottleneck on features: what the head reads from background cells.

The gradient of the class's logit with respect to the last layer with cells, times that layer's
activation, is what each cell contributes. The share of its energy outside the foreground is made
small. The gradient goes through the head alone, so a step costs hardly more than plain training.
Shapes: B images, K classes, D channels, H W pixels, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.map_quality.localisation import to_cells
from models.objectives.erm import Erm
from models.objectives.step import (
    Batch,
    Learner,
    Loss,
    at_least_float32,
    classification_loss,
    differentiable_twice,
    mean_of,
)

MIN_ENERGY = 1e-12  # below it a map is empty
TOUCHED = 1e-3  # share of object from which a cell belongs to the foreground


@dataclass(frozen=True)
class SibFeature(Erm):
    """Cross entropy, and the share of the cells' energy outside the foreground."""

    weight: float = 1.0
    layer: str = ""  # names joined by +; by default the classifier's layer

    @property
    def needs_masks(self) -> bool:
        return True

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.layer.split("+"))

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        with differentiable_twice(), learner.capture_outputs() as outputs:
            logits_BK = at_least_float32(learner.network(batch.image_BCHW))
            cross_entropy = classification_loss(logits_BK, batch)
            score = logits_BK.gather(1, batch.target_B[:, None]).sum()
            activations = [layer[-1] for layer in outputs]
            gradients = torch.autograd.grad(score, activations, create_graph=True)
        shares = [
            background_share(grid.arrange(activation), grid.arrange(gradient), batch)
            for grid, activation, gradient in zip(
                learner.grids, activations, gradients, strict=True
            )
        ]
        share = torch.stack(shares).mean()
        return Loss(
            cross_entropy + self.weight * share,
            {"cross_entropy": cross_entropy, "background": share},
        )


def background_share(activation_BDhw: Tensor, gradient_BDhw: Tensor, batch: Batch) -> Tensor:
    """Share of the energy in cells that the foreground does not touch, mean over the images."""
    contribution_BDhw = at_least_float32(activation_BDhw) * at_least_float32(gradient_BDhw)
    energy_Bhw = contribution_BDhw.square().sum(1)
    rows, columns = energy_Bhw.shape[1:]
    outside_Bhw = to_cells(batch.mask_BHW, (rows, columns)) <= TOUCHED
    total_B = energy_Bhw.sum((1, 2))
    share_B = (energy_Bhw * outside_Bhw).sum((1, 2)) / total_B.clamp(min=MIN_ENERGY)
    return mean_of(share_B, batch.known_B & (total_B > MIN_ENERGY))
