"""Random flip and zoom, of a picture and its mask alike. Shapes: B pictures, C=3, H, W."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from tasks.finetune.settings import FinetuneSettings


@dataclass(frozen=True)
class Augmentation:
    """The flip and the cut-out window of each picture of a batch."""

    flipped_B: Tensor
    zoom_B: Tensor | None = None  # share of the sides that is left
    shift_B2: Tensor | None = None  # of the window's middle: -1 to 1 of what is cut off

    @classmethod
    def draw(cls, count: int, recipe: FinetuneSettings, generator: torch.Generator) -> Augmentation:
        """Independently for each picture."""
        flipped_B = torch.zeros(count, dtype=torch.bool)
        if recipe.flip == "half":
            flipped_B = torch.rand(count, generator=generator) < 0.5
        if recipe.zoom == 0:
            return cls(flipped_B)
        zoom_B = 1 - recipe.zoom * torch.rand(count, generator=generator)
        shift_B2 = 2 * torch.rand(count, 2, generator=generator) - 1
        return cls(flipped_B, zoom_B, shift_B2)

    def apply(self, picture_BCHW: Tensor) -> Tensor:
        """The augmented pictures; uint8 stays uint8."""
        mirrored_B = self.flipped_B[:, None, None, None].to(picture_BCHW.device)
        picture_BCHW = torch.where(mirrored_B, picture_BCHW.flip(3), picture_BCHW)
        if self.zoom_B is None or self.shift_B2 is None:
            return picture_BCHW
        grid_BHW2 = affine_grid(self._affine(), list(picture_BCHW.shape), align_corners=False)
        window_BCHW = grid_sample(
            picture_BCHW.float(), grid_BHW2.to(picture_BCHW.device), "bilinear", "border", False
        )
        return window_BCHW.round().to(torch.uint8)

    def apply_to_masks(self, mask_BHW: Tensor) -> Tensor:
        """The same for masks."""
        return self.apply(mask_BHW[:, None])[:, 0]

    def _affine(self) -> Tensor:
        assert self.zoom_B is not None
        assert self.shift_B2 is not None
        affine_B23 = torch.zeros(len(self.zoom_B), 2, 3)
        affine_B23[:, 0, 0] = affine_B23[:, 1, 1] = self.zoom_B
        affine_B23[:, :, 2] = self.shift_B2 * (1 - self.zoom_B[:, None])
        return affine_B23
