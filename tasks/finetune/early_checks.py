"""What is known of a training before a server is started: its objective and its images' list."""

from __future__ import annotations

from models.objectives.registry import find_objective
from tasks.catalog.catalog import list_data
from tasks.finetune.settings import TrainingRequest
from tasks.runs import open_run


def check_training(request: TrainingRequest) -> None:
    """Refuse an unknown objective, and training images or a run that are not there."""
    find_objective(request.recipe.objective)
    learning = request.learning
    if learning.patterns_run is not None:
        open_run(learning.patterns_run).summary()
    for split in (learning.train_split, learning.validation_split):
        if split is not None or learning.train is not None:
            list_data(learning.data(request.data, split))
