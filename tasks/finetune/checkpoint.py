"""Checkpoints after every epoch, from which a killed training continues as if uninterrupted."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from models.addresses import TEMPORARY, write_atomically
from models.errors import DamagedFile, UserError
from tasks.finetune.training_record import TRAINING, read_record

VERSION = 1
TEMPORARY_FILE = re.compile(rf"\.(?:checkpoint\.pt|history\.json|training\.json)\.\w+{TEMPORARY}")
StateDicts = dict[str, Any]  # of network, optimiser, schedule and random generators


@dataclass(frozen=True)
class Epoch:
    """The figures of an epoch: mean loss and parts, validation, learning rate, seconds."""

    number: int  # from 1
    step: int  # steps done so far
    figures: dict[str, float]
    ended: float = field(default_factory=time.time)  # seconds since 1970


@dataclass(frozen=True)
class TrainingState:
    """The progress of a training between two epochs."""

    epoch: int = 0  # epochs done
    step: int = 0
    history: tuple[Epoch, ...] = ()
    best: int | None = None  # the chosen epoch's number
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> Epoch | None:
        return next((epoch for epoch in self.history if epoch.number == self.best), None)


@dataclass(frozen=True)
class Checkpoints:
    """The latest checkpoint, one file in the training's folder, replaced atomically."""

    folder: Path
    identity: str  # digest of all that determines the training

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def history(self) -> Path:
        return self.folder / "history.json"

    def training_id(self, *, replace: bool = False) -> str:
        """The id of this folder's training, the same however often it is killed and continued.

        Another training's checkpoint is refused, or deleted with `replace`.
        """
        recorded = read_record(self.folder)
        if recorded is not None and recorded.identity == self.identity:
            return recorded.id
        if self.path.is_file() and not replace:
            raise self._foreign_checkpoint()
        self.folder.mkdir(parents=True, exist_ok=True)
        training_id = uuid4().hex
        record = {"id": training_id, "identity": self.identity}
        with write_atomically(self.folder / TRAINING) as opened:
            opened.write(json.dumps(record).encode() + b"\n")
        for path in (self.path, self.history):
            path.unlink(missing_ok=True)
        return training_id

    def save(self, state: TrainingState, state_dicts: StateDicts) -> None:
        """Write what `load` reads."""
        self.folder.mkdir(parents=True, exist_ok=True)
        history = [vars(epoch) for epoch in state.history]
        content = {
            "version": VERSION,
            "identity": self.identity,
            "standing": {**vars(state), "history": history},
            "state": state_dicts,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with write_atomically(self.path) as file:
            file.write(buffer.getvalue())
        with write_atomically(self.history) as file:
            file.write(json.dumps(history, indent=1).encode() + b"\n")

    def load(self) -> tuple[TrainingState, StateDicts] | None:
        """The checkpoint, or None before the first epoch; another training's is refused."""
        for partial in self.folder.glob(f".*{TEMPORARY}"):  # of a process killed while writing
            if TEMPORARY_FILE.fullmatch(partial.name):
                partial.unlink()
        if not self.path.is_file():
            return None
        content = self._read()
        if (content.get("version"), content.get("identity")) != (VERSION, self.identity):
            raise self._foreign_checkpoint()
        try:
            fields = content["standing"]
            history = tuple(Epoch(**epoch) for epoch in fields["history"])
            return TrainingState(**fields | {"history": history}), content["state"]
        except (KeyError, TypeError) as error:
            raise self._damaged() from error

    def _read(self) -> dict[str, Any]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch, zipfile and pickle each have their own
            raise self._damaged() from error
        if not isinstance(content, dict):
            raise self._damaged()
        return content

    def _damaged(self) -> DamagedFile:
        return DamagedFile(
            f"{self.path} is damaged: delete it to train from the start, or give another --out"
        )

    def _foreign_checkpoint(self) -> UserError:
        return UserError(
            f"{self.path} is a checkpoint of another training (data, model or settings "
            "differ): give another --out, or --replace to begin again"
        )
