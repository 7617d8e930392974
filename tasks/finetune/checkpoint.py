"""A training as it stands after an epoch, so that a killed one continues as if undisturbed."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from models.addresses import TEMPORARY, write_atomically
from models.errors import UserError

VERSION = 1
TRAINING = "training.json"  # what a folder's training is known by
State = dict[str, Any]


@dataclass(frozen=True)
class Epoch:
    """What is told of an epoch: means of the losses' parts, validation, rate, seconds."""

    number: int  # from 1
    step: int  # steps done
    figures: dict[str, float]
    ended: float = field(default_factory=time.time)  # seconds since 1970


@dataclass(frozen=True)
class TrainingState:
    """Where a training is between two epochs."""

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
    """One file in the training's folder; it is whole, or the one before is still there."""

    folder: Path
    identity: str  # of all that makes the training what it is

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def history(self) -> Path:
        return self.folder / "history.json"

    def training_id(self, *, replace: bool = False) -> str:
        """Of this folder's training, however often it was killed; in another folder it is another.

        Another training's checkpoint is refused, or deleted.
        """
        file = self.folder / TRAINING
        known = json.loads(file.read_text()) if file.is_file() else {}
        if known.get("identity") == self.identity:
            return str(known["id"])
        if self.path.is_file() and not replace:
            raise self._others()
        self.folder.mkdir(parents=True, exist_ok=True)
        own = uuid4().hex
        with write_atomically(file) as opened:
            opened.write(json.dumps({"id": own, "identity": self.identity}).encode() + b"\n")
        for path in (self.path, self.history):
            path.unlink(missing_ok=True)
        return own

    def save(self, standing: TrainingState, state: State) -> None:
        """Write what `load` gives back."""
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {**vars(standing), "history": [vars(epoch) for epoch in standing.history]}
        content = {"version": VERSION, "identity": self.identity, "standing": told, "state": state}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with write_atomically(self.path) as file:
            file.write(buffer.getvalue())
        with write_atomically(self.history) as file:
            file.write(json.dumps(told["history"], indent=1).encode() + b"\n")

    def load(self) -> tuple[TrainingState, State] | None:
        """None before the first epoch; refuses another training's."""
        for left in self.folder.glob(f".*{TEMPORARY}"):  # of a try that was killed while it wrote
            left.unlink()
        if not self.path.is_file():
            return None
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        found = content.get("version"), content.get("identity")
        if found != (VERSION, self.identity):
            raise self._others()
        told = content["standing"]
        history = tuple(Epoch(**epoch) for epoch in told["history"])
        return TrainingState(**told | {"history": history}), content["state"]

    def _others(self) -> UserError:
        return UserError(
            f"{self.path} is a checkpoint of another training (data, model or settings "
            "differ): give another --out, or --replace to begin again"
        )
