"""Background exchange as augmentation: the object stays, its background is another image's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.objectives.erm import Erm
from models.objectives.step import Batch, Learner, Loss


@dataclass(frozen=True)
class Swap(Erm):
    """Cross entropy on exchanged images."""

    share: float = 1.0  # of the images with a known foreground, in each step

    exchanges: ClassVar[bool] = True

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        return super().loss(learner, batch.on_other_backgrounds(self.share))
