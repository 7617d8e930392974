"""What identifies a folder's training: training.json, written before anything else."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import DamagedFile

TRAINING = "training.json"


class TrainingRecord(BaseModel):
    """The training's id, and the digest of all that determines it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    identity: str


def read_record(folder: Path) -> TrainingRecord | None:
    """The record of a folder's training, or None; refuses one that is not ours."""
    file = folder / TRAINING
    if not file.is_file():
        return None
    try:
        return TrainingRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise DamagedFile(
            f"{file} is damaged, or not Sightline's, and nothing else identifies the training: "
            "give another --out"
        ) from error


def is_training(folder: Path) -> bool:
    """Is there a training in this folder? Refuses a record that cannot be read."""
    return read_record(folder) is not None
