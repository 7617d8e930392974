"""How an image is put on another's background, or given the region of another's picture.

Shapes: B images, M backgrounds, C=3, H W pixels; images are normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.fills import Fill
from models.interventions import exchange_background, remove_object
from tasks.pictures.map_region import Region
from tasks.pictures.samples import Sample


@dataclass(frozen=True)
class Exchange:
    """What is exchanged, and what fills the object of the other picture."""

    region: Region | None  # None: the whole background
    fill: Fill

    def sources(self, image_MCHW: Tensor, mask_MHW: Tensor) -> Tensor:
        """Without their objects where these are known: a mask of zeros is none."""
        return remove_object(image_MCHW, mask_MHW, self.fill)

    def put(self, image_BCHW: Tensor, mask_BHW: Tensor, source_CHW: Tensor) -> Tensor:
        """Each image on one source."""
        return exchange_background(image_BCHW, self._kept(mask_BHW), source_CHW[None])

    def _kept(self, mask_BHW: Tensor) -> Tensor:
        """What of each image stays: the object, or all but the region."""
        if self.region is None:
            return mask_BHW
        region_HW = self.region.mask((mask_BHW.shape[1], mask_BHW.shape[2]))
        return (1 - region_HW.to(mask_BHW.device)).expand_as(mask_BHW)


def object_mask(sample: Sample) -> Tensor:
    """(H, W), 0 to 1; zeros where there is none."""
    if sample.mask_HW is None:
        return torch.zeros(sample.picture_CHW.shape[1:])
    return sample.mask_HW / 255
