"""Compact artefacts as augmentation: pasted on any image, or filled, so that they say nothing.

Shapes: B pictures, C=3, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.interventions import exchange_background, remove_object
from tasks.finetune.images import TrainingImages
from tasks.finetune.training_patterns import PatternRows

KEPT, PASTED, FILLED = range(3)  # what becomes of an image, each equally often


@dataclass(frozen=True, eq=False)
class Artefacts:
    """The patterns of the training images whose region is exchanged."""

    images: TrainingImages

    @cached_property
    def patterns(self) -> list[PatternRows]:
        return [it for it in self.images.patterns if it.region is not None]

    def change(self, picture_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Each picture, uint8, as it is, or with the region of a random pattern: from one of the
        pattern's own images, or filled with the mean colour of the rest."""
        count = len(picture_BCHW)
        pattern_B = torch.randint(len(self.patterns), (count,), generator=generator)
        action_B = torch.randint(3, (count,), generator=generator)
        chance_B = torch.rand(count, generator=generator)
        changed_BCHW = picture_BCHW.clone()
        for number, pattern in enumerate(self.patterns):
            own_B = pattern_B == number
            for action in (PASTED, FILLED):
                row_b = torch.nonzero(own_B & (action_B == action))[:, 0]
                if not len(row_b):
                    continue
                picture_bCHW = picture_BCHW[row_b].float()
                mask_bHW = self._mask(pattern).expand(len(row_b), -1, -1)
                if action == FILLED:
                    mixed_bCHW = remove_object(picture_bCHW, mask_bHW)
                else:
                    source_b = pattern.row_n[(chance_B[row_b] * len(pattern.row_n)).long()]
                    source_bCHW = self.images.image_NCHW[source_b].float()
                    mixed_bCHW = exchange_background(
                        picture_bCHW, mask_bHW, source_bCHW, keep="background"
                    )
                changed_BCHW[row_b] = mixed_bCHW.round().to(torch.uint8)
        return changed_BCHW

    def _mask(self, pattern: PatternRows) -> Tensor:
        """(H, W), 1 in the region."""
        assert pattern.region is not None
        rows, columns = self.images.image_NCHW.shape[2:]
        return pattern.region.mask((rows, columns))
