"""A shard that kills its worker, narrowed down to the image that causes it.

A worker that dies leaves no reason. So its shard is computed again, and each batch is written to a
note before it is read; when the worker dies again, the images of the note are computed one by one;
an image that kills its worker alone, too, becomes a failure, and the other rows are unaffected.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from upath import UPath

from tasks.pictures.samples import Failure, Row
from tasks.runs.folder import RunFolder
from tasks.storage.files import remove_folder, write_text

DEATHS_ALONE = 2  # after which an image is blamed; two deaths came before
DEATHS_WITHOUT_NOTE = 5  # after which a shard is given up: none of its images is to blame


@dataclass(frozen=True)
class RetryPolicy:
    """How carefully a shard is computed."""

    noted: bool = False  # each batch is written to a note before it is read
    alone: frozenset[str] = frozenset()  # rows in a batch of their own
    blamed: frozenset[str] = frozenset()  # rows that are not tried again

    def batches(self, rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
        """Batches of consecutive rows; removing a row from one leaves the others unchanged."""
        for start in range(0, len(rows), size):
            batch = [row for row in rows[start : start + size] if row.row_id not in self.blamed]
            together = [row for row in batch if row.row_id not in self.alone]
            if together:
                yield together
            yield from ([row] for row in batch if row.row_id in self.alone)

    def failures(self, rows: Sequence[Row]) -> list[Failure]:
        """Of the blamed rows."""
        return [
            Failure(
                row.row_id,
                "worker",
                "permanent",
                f"image {row.image} killed its worker, alone {DEATHS_ALONE} times",
                "look at this picture and at the memory that it needs, or drop the row",
            )
            for row in rows
            if row.row_id in self.blamed
        ]


@dataclass
class ShardFailures:
    """What the coordinator knows of one shard whose worker died."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    without_note: int = 0  # deaths
    deaths: Counter[str] = field(default_factory=Counter)  # by row, computed alone

    def add_death(self, run: RunFolder, shard: int) -> RetryPolicy | None:
        """How to try the shard again; None when that is of no use."""
        noted = take_note(run, shard)
        self.without_note += not noted
        if self.without_note > DEATHS_WITHOUT_NOTE:
            return None
        if len(noted) == 1:
            self.deaths.update(noted)
        blamed = frozenset(row for row, count in self.deaths.items() if count >= DEATHS_ALONE)
        alone = self.policy.alone | set(noted)
        self.policy = RetryPolicy(noted=True, alone=alone, blamed=blamed)
        return self.policy


def write_note(run: RunFolder, shard: int, rows: Sequence[Row]) -> None:
    """Write down which rows a worker is about to read."""
    write_text(_note_path(run, shard), json.dumps([row.row_id for row in rows]))


def take_note(run: RunFolder, shard: int) -> list[str]:
    """Read and delete the note that a dead worker left; empty where there is none."""
    noted: list[str] = []
    with suppress(FileNotFoundError):
        noted = json.loads(_note_path(run, shard).read_text())
        _note_path(run, shard).unlink()
    return noted


def _note_path(run: RunFolder, shard: int) -> UPath:
    return run.notes / f"{shard}.json"


def forget_notes(run: RunFolder) -> None:
    """Delete all notes, once no worker is running."""
    if run.notes.exists():
        remove_folder(run.notes)
