"""The Spatial Information Bottleneck on features, on images whose background is exchanged.

The default. The bottleneck limits small changes of the background, exchanging it limits large ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.objectives.sib_feature import SibFeature
from models.objectives.step import Batch, Learner, Loss


@dataclass(frozen=True)
class SibInterventional(SibFeature):
    """The same on images whose background is another image's."""

    share: float = 1.0  # of the images with a known foreground that are exchanged in each step

    exchanges: ClassVar[bool] = True

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        return super().loss(learner, batch.on_other_backgrounds(self.share))
