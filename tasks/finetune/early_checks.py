"""What is known of a training before a server is started: its objective and its images' list."""

from __future__ import annotations

from models.objectives.registry import find_objective
from tasks.catalog.catalog import list_data
from tasks.finetune.settings import TrainingRequest


def check_training(request: TrainingRequest) -> None:
    """Refuse an unknown objective, and training images that are not there."""
    find_objective(request.recipe.objective)
    learning = request.learning
    for split in (learning.train_split, learning.validation_split):
        if split is not None or learning.train is not None:
            list_data(learning.data(request.data, split))
