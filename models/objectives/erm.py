"""Empirical risk minimisation: cross entropy alone, the baseline of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from models.objectives.step import Batch, Learner, Loss, Objective, classification_loss


@dataclass(frozen=True)
class Erm(Objective):
    """Cross entropy."""

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        cross_entropy = classification_loss(learner.network(batch.image_BCHW), batch)
        return Loss(cross_entropy, {"cross_entropy": cross_entropy})
