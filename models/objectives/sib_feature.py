"""The Spatial Information Bottleneck on features: what the head reads of cells without object.

The gradient of the class's logit, decoded to the last layer with cells, times that layer's
activation, is what each cell gives. Its energy outside the foreground is made small as a share. The
gradient comes back through the head alone, so a step costs hardly more than without. With exchanged
backgrounds the background is limited at finite size too: the interventional form.
Shapes: B images, K classes, D channels, H W pixels, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from models.map_quality.localisation import to_cells
from models.objectives.erm import Erm
from models.objectives.step import (
    Batch,
    Learner,
    Loss,
    differentiable_twice,
    learn_answers,
    mean_of,
    precise,
)

LEAST = 1e-12  # energy of a map that says something
TOUCHED = 1e-3  # of a cell's area that is object


@dataclass(frozen=True)
class SibFeature(Erm):
    """Cross entropy, and the share of what cells give that comes from outside the foreground."""

    weight: float = 1.0
    layer: str = ""  # names joined by +; the classifier's layer unless named

    @property
    def needs_masks(self) -> bool:
        return True

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.layer.split("+"))

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        with differentiable_twice(), learner.watched() as outputs:
            logits_BK = precise(learner.network(batch.image_BCHW))
            answers = learn_answers(logits_BK, batch)
            score = logits_BK.gather(1, batch.target_B[:, None]).sum()
            activations = [layer[-1] for layer in outputs]
            gradients = torch.autograd.grad(score, activations, create_graph=True)
        shares = [
            outside_cells(grid.arrange(activation), grid.arrange(gradient), batch)
            for grid, activation, gradient in zip(
                learner.grids, activations, gradients, strict=True
            )
        ]
        share = torch.stack(shares).mean()
        return Loss(answers + self.weight * share, {"cross_entropy": answers, "background": share})


@dataclass(frozen=True)
class SibInterventional(SibFeature):
    """The same on images whose background is another image's."""

    share: float = 1.0  # of the images with a known foreground that are exchanged in each step

    exchanges: ClassVar[bool] = True

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        return super().loss(learner, batch.on_other_backgrounds(self.share))


def outside_cells(activation_BDhw: Tensor, gradient_BDhw: Tensor, batch: Batch) -> Tensor:
    """Share of the energy in cells that the foreground does not touch, mean of the images."""
    energy_Bhw = (precise(activation_BDhw) * precise(gradient_BDhw)).square().sum(1)
    rows, columns = energy_Bhw.shape[1:]
    outside_Bhw = to_cells(batch.mask_BHW, (rows, columns)) <= TOUCHED
    total_B = energy_Bhw.sum((1, 2))
    share_B = (energy_Bhw * outside_Bhw).sum((1, 2)) / total_B.clamp(min=LEAST)
    return mean_of(share_B, batch.known_B & (total_B > LEAST))
