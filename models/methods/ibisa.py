"""Information bottleneck with input sampling (after Coelho and Cardoso 2025), for any callable.

A mask at the input lets a picture through cell by cell. Each cell passes with a probability, which
is optimised for each image: few cells should pass, the target should be probable with those that do
and improbable without them. Where a cell is erased visibly, it passes exactly as much information
as its probability says, so that their mean is the bottleneck's price: no statistics of features are
needed. The paper's code is not public; this is our reading, within its 20 passes forward and 10
back. Shapes: B images, C colours, H W pixels, s cells a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.methods.settings import IbisaSettings
from models.methods.smoothing import blur, smooth
from models.network.question import Question, gradient

MOMENTUM, MEMORY = 0.9, 0.999  # of Adam
LEAST = 1e-12
RARE = 1e-6  # a draw is no surer than this


@dataclass
class _Descent:
    """Adam with one scale an image: cells that hardly matter take no steps as long as others'."""

    rate: float
    mean_Bss: Tensor
    square_B11: Tensor
    steps: int = 0

    def step(self, gradient_Bss: Tensor) -> Tensor:
        """What the logits lose."""
        self.steps += 1
        power_B11 = gradient_Bss.square().mean((1, 2), keepdim=True)
        self.mean_Bss = torch.lerp(gradient_Bss, self.mean_Bss, MOMENTUM)
        self.square_B11 = torch.lerp(power_B11, self.square_B11, MEMORY)
        mean_Bss = self.mean_Bss / (1 - MOMENTUM**self.steps)
        scale_B11 = (self.square_B11 / (1 - MEMORY**self.steps)).sqrt()
        return self.rate * mean_Bss / (scale_B11 + LEAST)


def ibisa(asked: Question, settings: IbisaSettings) -> Tensor:
    """map_Bss >= 0: what the target's log probability gains from each cell, over all steps, as far
    as the bottleneck lets the cell pass; less the smallest value."""
    return torch.cat([_of_part(part, settings) for part in asked.parts(1)])


def _of_part(asked: Question, settings: IbisaSettings) -> Tensor:
    """Of images that fit the room."""
    image_BCHW, side = asked.image_BCHW, settings.cells
    blurred_BCHW = blur(image_BCHW)
    logit_Bss = image_BCHW.new_zeros(len(image_BCHW), side, side)
    descent = _Descent(settings.rate, torch.zeros_like(logit_Bss), logit_Bss[:, :1, :1].clone())
    gained_Bss = torch.zeros_like(logit_Bss)
    generator = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        draw_ss = torch.rand(side, side, generator=generator).clamp(RARE, 1 - RARE)
        with torch.enable_grad():
            logit_Bss = logit_Bss.detach().requires_grad_(True)
            smooth_Bss = smooth(logit_Bss, settings.sigma)
            pass_Bss = smooth_Bss.sigmoid()
            mask_Bss = (smooth_Bss + draw_ss.logit().to(image_BCHW)).sigmoid()  # relaxed Bernoulli
            # Four kinds of step in turn: what passes is kept or deleted, grey or blur for the rest.
            rest_BCHW = blurred_BCHW if step % 2 else torch.zeros_like(image_BCHW)
            pull_Bss = _pull(asked, mask_Bss, rest_BCHW, keep=step // 2 % 2 == 0)
            price = settings.beta * pass_Bss.mean((1, 2)).sum()
            (slope_Bss,) = torch.autograd.grad([mask_Bss, price], logit_Bss, [pull_Bss, None])
        gain_Bss = smooth(-pull_Bss, settings.sigma).clamp(min=0)
        gained_Bss += gain_Bss * pass_Bss.detach()
        logit_Bss = logit_Bss.detach() - descent.step(slope_Bss)
    return gained_Bss - gained_Bss.amin((1, 2), keepdim=True)


def _pull(asked: Question, mask_Bss: Tensor, rest_BCHW: Tensor, *, keep: bool) -> Tensor:
    """Gradient, with respect to the mask, of what it costs in log probability: of the target where
    the mask keeps, of all other classes where it deletes."""
    mask_Bss = mask_Bss.detach().requires_grad_(True)
    size = asked.image_BCHW.shape[2:]
    mask_B1HW = functional.interpolate(mask_Bss[:, None], size=size, mode="bilinear")
    kept_B1HW = mask_B1HW if keep else 1 - mask_B1HW
    picture_BCHW = rest_BCHW + kept_B1HW * (asked.image_BCHW - rest_BCHW)
    logits_BK = asked.logits_of(picture_BCHW)
    target_B1 = asked.target_B[:, None]
    others_B = logits_BK.scatter(1, target_B1, -torch.inf).logsumexp(1)
    lead_B = logits_BK.gather(1, target_B1)[:, 0] - others_B
    return gradient(functional.softplus(-lead_B if keep else lead_B).sum(), mask_Bss)
