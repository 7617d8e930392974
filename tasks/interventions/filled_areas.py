"""What is filled in where an object is removed.

An annotated object is filled in as it is marked. An estimate misses parts of its object, such as
legs and ears, and what it misses would be taken for background: it would stay where the image's own
background is moved, and be gone where another is put. So around an estimate more is filled in.
Shapes: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.masks import grow_masks

MISSED = 0.06  # of the shorter side: how far the parts of an object reach beyond its estimate


def filled_areas(mask_BHW: Tensor, estimated_B: Sequence[bool]) -> Tensor:
    """The masks, those that are estimates with what is around them."""
    if not any(estimated_B):
        return mask_BHW
    grown_BHW = grow_masks(mask_BHW, round(MISSED * min(mask_BHW.shape[1:])))
    estimated_B11 = torch.tensor(estimated_B, device=mask_BHW.device)[:, None, None]
    return torch.where(estimated_B11, grown_BHW, mask_BHW)


def filled_share(mask_HW: Tensor, *, estimated: bool) -> float:
    """How much of its picture is filled in for one mask of uint8, as a share of the area."""
    (filled_HW,) = filled_areas(mask_HW[None] / 255, [estimated])
    return float(filled_HW.mean())
