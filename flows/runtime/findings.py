"""What the doctor finds: a line each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "odd", "optional", "missing"]

SCARCE, TOO_LITTLE = 5_000_000_000, 200_000_000  # bytes of disk


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; what is `missing` would stop a run."""

    state: State
    text: str


def describe_free(free: int, folder: Path) -> tuple[State, str]:
    """How much of a disk is free, in words, and whether that is enough."""
    state: State = "missing" if free < TOO_LITTLE else "odd" if free < SCARCE else "ok"
    return state, f"disk: {free / 1e9:.1f} GB free at {folder}"
