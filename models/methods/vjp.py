"""The vector-Jacobian product that S-IB trains with, as a map: one forward and one backward.

Shapes: B images, C colours, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.methods.settings import Form, VjpSettings
from models.network.explain_request import ExplainRequest, gradient

LEAST_LENGTH = 1e-30  # of a cotangent; a map times less would vanish in float32


def vjp(request: ExplainRequest, settings: VjpSettings) -> Tensor:
    """The mean over colours of J^T u, for the form's cotangent u: signed map_BHW."""
    return torch.cat(
        [_explain_batch(batch, COTANGENTS[settings.form]) for batch in request.batches(1)]
    )


def softmax_cotangent(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """u = p (p - |p|^2), the gradient of |p|^2 / 2 with respect to the logits; in float64.

    p - |p|^2 is formed from distances to the largest probability, which stay exact where it is
    nearly 1 or where all are nearly the same. No label enters.
    """
    logits_BK = logits_BK.double()
    probability_BK = logits_BK.softmax(1)
    top_B1, best_B1 = logits_BK.max(1, keepdim=True)
    below_BK = -probability_BK.gather(1, best_B1) * torch.expm1(logits_BK - top_B1)
    mean_B1 = (probability_BK * below_BK).sum(1, keepdim=True)
    return probability_BK * (mean_B1 - below_BK)


def logit_cotangent(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """One for the target, zero for the others; float64."""
    return functional.one_hot(target_B, logits_BK.shape[1]).double()


def margin_cotangent(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """The target's logit less the mean of all others; float64."""
    is_target_BK = logit_cotangent(logits_BK, target_B)
    return is_target_BK - (1 - is_target_BK) / (logits_BK.shape[1] - 1)


COTANGENTS: dict[Form, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": softmax_cotangent,
    "logit": logit_cotangent,
    "margin": margin_cotangent,
}


def _explain_batch(batch: ExplainRequest, cotangent: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Of images that fit one call. A unit vector goes back, since a tiny one would be rounded to
    zeros on the way; its length returns at the end, unless it is too small for the map's type."""
    with torch.enable_grad():
        image_BCHW = batch.image_BCHW.detach().requires_grad_(True)
        logits_BK = batch.logits_of(image_BCHW)
        cotangent_BK = cotangent(logits_BK.detach(), batch.target_B)
        length_B1 = cotangent_BK.norm(dim=1, keepdim=True)
        unit_BK = torch.where(length_B1 == 0, cotangent_BK, cotangent_BK / length_B1).to(logits_BK)
        gradient_BCHW = gradient((logits_BK * unit_BK).sum(), image_BCHW)
    length_B11: Tensor = length_B1.clamp(min=LEAST_LENGTH).to(gradient_BCHW)[..., None]
    return gradient_BCHW.mean(1) * length_B11
