"""Empirical risk minimisation: cross entropy and nothing else, the control of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from models.objectives.step import Batch, Learner, Loss, Objective, learn_answers


@dataclass(frozen=True)
class Erm(Objective):
    """Cross entropy."""

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        answers = learn_answers(learner.network(batch.image_BCHW), batch)
        return Loss(answers, {"cross_entropy": answers})
