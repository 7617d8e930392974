"""Information bottleneck with input sampling (after Coelho and Cardoso 2025), for any callable.

A mask at the input lets a picture through cell by cell. Each cell passes with a probability, which
is optimised for each image: few cells should pass, the target should be probable with those that do
and improbable without them. Since erased cells are visible, a cell passes exactly as much
information as its probability, and the mean probability is the bottleneck's cost: no statistics of
features are needed. The paper's code is not public; this is our reading, within its 20 passes
forward and 10 back. Shapes: B images, C colours, H W pixels, s cells per side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.methods.settings import IbisaSettings
from models.methods.smoothing import blur, smooth
from models.network.explain_request import ExplainRequest, gradient

MOMENTUM, SQUARE_MOMENTUM = 0.9, 0.999  # of Adam
EPSILON = 1e-12
LEAST_DRAW = 1e-6  # draws stay this far from 0 and 1


@dataclass
class _Adam:
    """Adam with one scale per image, so that cells that hardly matter take short steps."""

    rate: float
    mean_Bss: Tensor
    square_B11: Tensor
    steps: int = 0

    def step(self, gradient_Bss: Tensor) -> Tensor:
        """What to subtract from the logits."""
        self.steps += 1
        power_B11 = gradient_Bss.square().mean((1, 2), keepdim=True)
        self.mean_Bss = torch.lerp(gradient_Bss, self.mean_Bss, MOMENTUM)
        self.square_B11 = torch.lerp(power_B11, self.square_B11, SQUARE_MOMENTUM)
        mean_Bss = self.mean_Bss / (1 - MOMENTUM**self.steps)
        scale_B11 = (self.square_B11 / (1 - SQUARE_MOMENTUM**self.steps)).sqrt()
        return self.rate * mean_Bss / (scale_B11 + EPSILON)


def ibisa(request: ExplainRequest, settings: IbisaSettings) -> Tensor:
    """map_Bss >= 0: the gain of the target's log probability by each cell, summed over all steps
    and weighted by the cell's probability to pass; less the smallest value."""
    return torch.cat([_explain_batch(batch, settings) for batch in request.batches(1)])


def _explain_batch(batch: ExplainRequest, settings: IbisaSettings) -> Tensor:
    """Of images that fit one call."""
    image_BCHW, side = batch.image_BCHW, settings.cells
    blurred_BCHW = blur(image_BCHW)
    logit_Bss = image_BCHW.new_zeros(len(image_BCHW), side, side)
    adam = _Adam(settings.rate, torch.zeros_like(logit_Bss), logit_Bss[:, :1, :1].clone())
    gained_Bss = torch.zeros_like(logit_Bss)
    generator = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        draw_ss = torch.rand(side, side, generator=generator).clamp(LEAST_DRAW, 1 - LEAST_DRAW)
        with torch.enable_grad():
            logit_Bss = logit_Bss.detach().requires_grad_(True)
            smooth_Bss = smooth(logit_Bss, settings.sigma)
            pass_Bss = smooth_Bss.sigmoid()
            mask_Bss = (smooth_Bss + draw_ss.logit().to(image_BCHW)).sigmoid()  # relaxed Bernoulli
            # Four kinds of step in turn: the mask keeps or deletes, grey or blur fills the rest.
            rest_BCHW = blurred_BCHW if step % 2 else torch.zeros_like(image_BCHW)
            gradient_Bss = _mask_gradient(batch, mask_Bss, rest_BCHW, keep=step // 2 % 2 == 0)
            cost = settings.beta * pass_Bss.mean((1, 2)).sum()
            (slope_Bss,) = torch.autograd.grad([mask_Bss, cost], logit_Bss, [gradient_Bss, None])
        gain_Bss = smooth(-gradient_Bss, settings.sigma).clamp(min=0)
        gained_Bss += gain_Bss * pass_Bss.detach()
        logit_Bss = logit_Bss.detach() - adam.step(slope_Bss)
    return gained_Bss - gained_Bss.amin((1, 2), keepdim=True)


def _mask_gradient(
    batch: ExplainRequest, mask_Bss: Tensor, rest_BCHW: Tensor, *, keep: bool
) -> Tensor:
    """Gradient, with respect to the mask, of the negative log probability: of the target if the
    mask keeps, of all other classes if it deletes."""
    mask_Bss = mask_Bss.detach().requires_grad_(True)
    size = batch.image_BCHW.shape[2:]
    mask_B1HW = functional.interpolate(mask_Bss[:, None], size=size, mode="bilinear")
    kept_B1HW = mask_B1HW if keep else 1 - mask_B1HW
    picture_BCHW = rest_BCHW + kept_B1HW * (batch.image_BCHW - rest_BCHW)
    logits_BK = batch.logits_of(picture_BCHW)
    target_B1 = batch.target_B[:, None]
    others_B = logits_BK.scatter(1, target_B1, -torch.inf).logsumexp(1)
    lead_B = logits_BK.gather(1, target_B1)[:, 0] - others_B
    return gradient(functional.softplus(-lead_B if keep else lead_B).sum(), mask_Bss)
