"""Masks that reach further than they did. Shapes: B masks, H W pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def grow_masks(mask_BHW: Tensor, pixels: int) -> Tensor:
    """Each reaches this many pixels further, up, down and sideways."""
    side = 2 * pixels + 1
    tall_BHW = functional.max_pool2d(mask_BHW, (side, 1), stride=1, padding=(pixels, 0))
    return functional.max_pool2d(tall_BHW, (1, side), stride=1, padding=(0, pixels))
