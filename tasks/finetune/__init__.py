"""Training: what a network learns from, by which objective, and the choice of the best epoch."""

from tasks.finetune.checkpoint import CheckpointMistake, Checkpoints, Epoch, Standing
from tasks.finetune.images import Album, AlbumMistake, check_album, read_album
from tasks.finetune.loop import OnStep, Training, TrainingMistake, finetune, predict
from tasks.finetune.plan import LearningSettings, Lesson, Wanted, begin, plan_lesson
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.validation import HeldOut, HeldOutMistake

__all__ = [
    "Album",
    "AlbumMistake",
    "CheckpointMistake",
    "Checkpoints",
    "Epoch",
    "FinetuneSettings",
    "HeldOut",
    "HeldOutMistake",
    "LearningSettings",
    "Lesson",
    "OnStep",
    "Standing",
    "Training",
    "TrainingMistake",
    "Wanted",
    "begin",
    "check_album",
    "finetune",
    "plan_lesson",
    "predict",
    "read_album",
]
