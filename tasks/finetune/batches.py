"""A training's batches, one epoch after another: order, augmentation, other backgrounds.

Shapes: N pictures, B a batch, b a part of it, D donors, C=3, H, W, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.interventions import remove_object
from models.objectives.step import Batch, Objective, PlainBatch
from tasks.finetune.augment import Shift
from tasks.finetune.images import TrainingImages
from tasks.finetune.settings import FinetuneSettings

AT_ONCE = 256  # pictures that are looked at together where nothing is learnt


@dataclass(frozen=True, eq=False)
class BatchSampler:
    """What batches are drawn from. All that is random comes from one generator."""

    album: TrainingImages
    answer_NK: Tensor
    preprocessing: Preprocessing
    objective: Objective
    recipe: FinetuneSettings
    generator: torch.Generator
    device: torch.device

    def epoch(self) -> Iterator[Tensor]:
        """Rows of each batch of an epoch, in a new order."""
        count = len(self.album)
        if self.objective.needs_groups:
            weight_N = _evening(self.album.group_N)
            order_N = torch.multinomial(weight_N, count, True, generator=self.generator)
        else:
            order_N = torch.randperm(count, generator=self.generator)
        yield from order_N.tensor_split(self.recipe.batches_of(count))

    def parts(self, row_B: Tensor, step: int, steps: int) -> Iterator[Batch]:
        """The step's images, in as many parts as the recipe says."""
        for row_b in row_B.tensor_split(min(self.recipe.accumulate, len(row_B))):
            yield self._part(row_b, step, steps)

    def glances(self) -> Iterator[PlainBatch]:
        """All pictures, not moved."""
        for row_B in torch.split(torch.arange(len(self.album)), AT_ONCE):
            target_B = self.answer_NK[row_B].argmax(1).to(self.device)
            yield PlainBatch(row_B, self._pictures(row_B)[0], target_B)

    def _part(self, row_b: Tensor, step: int, steps: int) -> Batch:
        moved = Shift.drawn(len(row_b), self.recipe, self.generator)
        image_bCHW, mask_bHW = self._pictures(row_b, moved)
        chance_b = other_bCHW = None
        if self.objective.exchanges:
            chance_b = torch.rand(len(row_b), generator=self.generator).to(self.device)
            other_bCHW = remove_object(*self._pictures(self._donor_rows(len(row_b))))
        return Batch(
            image_bCHW,
            self.answer_NK[row_b].to(self.device),
            mask_bHW,
            self.album.known_N[row_b].to(self.device),
            other_bCHW,
            chance_b,
            row_b.to(self.device),
            moved.flipped_B.to(self.device),
            step,
            steps,
        )

    def _pictures(self, row_B: Tensor, moved: Shift | None = None) -> tuple[Tensor, Tensor]:
        """As the network reads them, and their masks."""
        image_BCHW, mask_BHW = self.album.image_NCHW[row_B], self.album.mask_NHW[row_B]
        if moved is not None:
            image_BCHW, mask_BHW = moved.of(image_BCHW), moved.of_mask(mask_BHW)
        image_BCHW = self.preprocessing.normalise(image_BCHW.to(self.device))
        return image_BCHW, mask_BHW.to(self.device) / 255

    def _donor_rows(self, count: int) -> Tensor:
        """Every label's backgrounds alike often: their label is not to be read from them."""
        chosen_B = torch.multinomial(self._donor_weight_D, count, True, generator=self.generator)
        return self._donor_D[chosen_B]

    @cached_property
    def _donor_D(self) -> Tensor:
        return self.album.donors()

    @cached_property
    def _donor_weight_D(self) -> Tensor:
        return _evening(self.answer_NK[self._donor_D].argmax(1))


def _evening(group_N: Tensor | None) -> Tensor:
    """Weights by which every group is drawn alike often."""
    assert group_N is not None
    _, place_N, count_G = torch.unique(group_N, return_inverse=True, return_counts=True)
    weight_N: Tensor = 1.0 / count_G[place_N]
    return weight_N
