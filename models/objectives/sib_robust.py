"""The Spatial Information Bottleneck on the image gradient, repaired where the paper's form fails.

The gradient is that of the class's margin over all others, which does not vanish where the softmax
is sure; the background term is a share of the energy, which has no scale; the foreground term is
normalised. Shapes: B images, C=3 colours, H W pixels, K classes.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import UserError, list_names, suggest
from models.objectives.dependence import cka, flat
from models.objectives.erm import Erm
from models.objectives.soft_mask import soft_mask
from models.objectives.step import (
    Batch,
    Learner,
    Loss,
    at_least_float32,
    classification_loss,
    differentiable_twice,
    frozen_statistics,
    mean_of,
    mixes_images,
)

MASKS = ("given", "self")
MIN_ENERGY = 1e-12  # below it a gradient is empty
MIN_IMAGES = 3  # for a dependence: between two images it is always 1


@dataclass(frozen=True)
class SibRobust(Erm):
    """Cross entropy, the share of the gradient's energy outside, and 1 - CKA inside."""

    background: float = 1.0
    foreground: float = 0.1
    mask: str = "given"  # by the data (annotated, box, estimated), or self: derived from the map
    warm_up: float = 0.1  # share of all steps in which both weights rise from 0
    every: int = 1  # steps; the others have the cross entropy alone

    def __post_init__(self) -> None:
        if self.mask not in MASKS:
            hint = suggest(self.mask, MASKS)
            raise UserError(f"sib: mask={self.mask}{hint}: it is one of {list_names(MASKS)}")
        if self.every < 1:
            raise UserError(f"sib: every={self.every}: at least 1 is needed")

    @property
    def needs_masks(self) -> bool:
        return self.mask == "given"

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        if batch.step % self.every:
            return super().loss(learner, batch)
        cross_entropy, gradient_BCHW = self._gradient(learner, batch)
        share, dependence = self._terms(gradient_BCHW, batch)
        rise = min(1.0, (batch.step + 1) / max(1.0, self.warm_up * batch.steps))
        extra = self.background * share + self.foreground * (1 - dependence)
        return Loss(
            cross_entropy + rise * extra,
            {"cross_entropy": cross_entropy, "background": share, "foreground": dependence},
        )

    def _gradient(self, learner: Learner, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy, and the margin's gradient, for which images must not mix."""
        network, image_BCHW = learner.network, batch.image_BCHW.detach().requires_grad_(True)
        mixes = mixes_images(network)
        mixed_loss = classification_loss(network(batch.image_BCHW), batch) if mixes else None
        with differentiable_twice(), frozen_statistics(network) if mixes else nullcontext():
            logits_BK = at_least_float32(network(image_BCHW.clone()))
            score = margin(logits_BK, batch.target_B).sum()
            (gradient_BCHW,) = torch.autograd.grad(score, image_BCHW, create_graph=True)
        if mixed_loss is not None:
            return mixed_loss, gradient_BCHW
        return classification_loss(logits_BK, batch), gradient_BCHW

    def _terms(self, gradient_BCHW: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        mask_BHW, usable_B = batch.mask_BHW, batch.known_B
        if self.mask == "self":
            mask_BHW, usable_B = derive_mask(gradient_BCHW), torch.ones_like(batch.known_B)
        share_B, has_energy_B = outside_share(gradient_BCHW, mask_BHW)
        usable_B = usable_B & has_energy_B
        share = mean_of(share_B, usable_B)
        if usable_B.sum() < MIN_IMAGES:
            return share, share.new_zeros(())
        inside = (
            flat(value_BCHW[usable_B] * mask_BHW[usable_B, None])
            for value_BCHW in (gradient_BCHW, batch.image_BCHW)
        )
        return share, cka(*inside)


def margin(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """The target's logit minus the mean of all others."""
    target_B1 = logits_BK.gather(1, target_B[:, None])
    others_B1 = (logits_BK.sum(1, keepdim=True) - target_B1) / (logits_BK.shape[1] - 1)
    return (target_B1 - others_B1)[:, 0]


def derive_mask(gradient_BCHW: Tensor) -> Tensor:
    """The paper's soft mask of each map divided by its largest value, as its constants need."""
    gradient_BCHW = gradient_BCHW.detach()
    largest_B = gradient_BCHW.abs().amax((1, 2, 3), keepdim=True)
    return soft_mask(gradient_BCHW / largest_B.clamp(min=MIN_ENERGY))


def outside_share(gradient_BCHW: Tensor, mask_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each gradient's energy outside the mask; which gradients have energy at all."""
    energy_B = gradient_BCHW.square().sum((1, 2, 3))
    outside_B = (gradient_BCHW * (1 - mask_BHW[:, None])).square().sum((1, 2, 3))
    return outside_B / energy_B.clamp(min=MIN_ENERGY), energy_B > MIN_ENERGY
