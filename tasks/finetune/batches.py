"""The batches of a training, epoch by epoch: order, augmentation, exchanged backgrounds.

Shapes: N pictures, B a batch, b a micro-batch, D donors, C=3, H, W, K classes.
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
from tasks.finetune.artefacts import Artefacts
from tasks.finetune.augment import Augmentation
from tasks.finetune.images import TrainingImages
from tasks.finetune.settings import FinetuneSettings

INFERENCE_BATCH = 256  # pictures of a forward pass without gradient


@dataclass(frozen=True, eq=False)
class BatchSampler:
    """Draws batches from the training images; one generator makes all random choices."""

    images: TrainingImages
    soft_label_NK: Tensor
    preprocessing: Preprocessing
    objective: Objective
    recipe: FinetuneSettings
    generator: torch.Generator
    device: torch.device

    def draw_epoch(self) -> Iterator[Tensor]:
        """The rows of each batch of an epoch, in a new order."""
        count = len(self.images)
        if self.objective.needs_groups:
            weight_N = _balancing_weights(self.images.group_N)
            order_N = torch.multinomial(weight_N, count, True, generator=self.generator)
        else:
            order_N = torch.randperm(count, generator=self.generator)
        yield from order_N.tensor_split(self.recipe.steps_per_epoch(count))

    def micro_batches(self, row_B: Tensor, parts: int, step: int, steps: int) -> Iterator[Batch]:
        """The images of a step, in so many micro-batches, or as many as it has images."""
        for row_b in row_B.tensor_split(min(parts, len(row_B))):
            yield self._draw_batch(row_b, step, steps)

    def plain_batches(self) -> Iterator[PlainBatch]:
        """All images in order, without augmentation."""
        for row_B in torch.split(torch.arange(len(self.images)), INFERENCE_BATCH):
            target_B = self.soft_label_NK[row_B].argmax(1).to(self.device)
            yield PlainBatch(row_B, self._prepare(row_B)[0], target_B)

    def _draw_batch(self, row_b: Tensor, step: int, steps: int) -> Batch:
        augmentation = Augmentation.draw(len(row_b), self.recipe, self.generator)
        image_bCHW, mask_bHW = self._prepare(row_b, augmentation)
        chance_b = other_bCHW = None
        if self.objective.exchanges:
            chance_b = torch.rand(len(row_b), generator=self.generator).to(self.device)
            other_bCHW = remove_object(*self._prepare(self._draw_donors(len(row_b))))
        return Batch(
            image_bCHW,
            self.soft_label_NK[row_b].to(self.device),
            mask_bHW,
            self.images.known_N[row_b].to(self.device),
            other_bCHW,
            chance_b,
            row_b.to(self.device),
            augmentation.flipped_B.to(self.device),
            step,
            steps,
        )

    def _prepare(
        self, row_B: Tensor, augmentation: Augmentation | None = None
    ) -> tuple[Tensor, Tensor]:
        """Normalised images and their masks from 0 to 1, on the device."""
        image_BCHW, mask_BHW = self.images.image_NCHW[row_B], self.images.mask_NHW[row_B]
        if augmentation is not None:
            if self._artefacts.patterns:  # before a flip moves their place
                image_BCHW = self._artefacts.change(image_BCHW, self.generator)
            image_BCHW = augmentation.apply(image_BCHW)
            mask_BHW = augmentation.apply_to_masks(mask_BHW)
        image_BCHW = self.preprocessing.normalise(image_BCHW.to(self.device))
        return image_BCHW, mask_BHW.to(self.device) / 255

    def _draw_donors(self, count: int) -> Tensor:
        """Rows, every label equally often, so that a background does not give away its label; or
        every pattern, where patterns say which backgrounds are to mean nothing."""
        row_D, weight_D = self._donors
        return row_D[torch.multinomial(weight_D, count, True, generator=self.generator)]

    @cached_property
    def _donors(self) -> tuple[Tensor, Tensor]:
        """Rows that are drawn from, and how often each is."""
        patterns = self.images.pattern_donor_rows()
        if not patterns:
            row_D = self.images.donor_rows()
            return row_D, _balancing_weights(self.soft_label_NK[row_D].argmax(1))
        pattern_D = torch.cat([torch.full_like(row_n, n) for n, row_n in enumerate(patterns)])
        return torch.cat(patterns), _balancing_weights(pattern_D)

    @cached_property
    def _artefacts(self) -> Artefacts:
        return Artefacts(self.images)


def _balancing_weights(group_N: Tensor | None) -> Tensor:
    """Weights by which every group is drawn equally often."""
    assert group_N is not None
    _, index_N, count_G = torch.unique(group_N, return_inverse=True, return_counts=True)
    weight_N: Tensor = 1.0 / count_G[index_N]
    return weight_N
