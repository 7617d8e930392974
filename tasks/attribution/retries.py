"""A shard that kills its worker, narrowed down to the image that does it.

A worker that dies says nothing. So a shard that was under way when one died is computed again with
a note of each batch before it is read; when it dies again, the images of the note are computed
alone; one that dies alone too is a failure, and the others are what they always were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from upath import UPath

from tasks.pictures.samples import Failure, Row
from tasks.runs.folder import RunFolder
from tasks.storage.files import remove_folder, write_text

LIVES = 2  # deaths alone after which an image is guilty; two more came before
SILENT = 5  # deaths of a shard without a note: none of its images is to blame


@dataclass(frozen=True)
class RetryPolicy:
    """How carefully a shard is computed."""

    noted: bool = False  # each batch is written down before it is read
    alone: frozenset[str] = frozenset()  # rows in a batch of their own
    guilty: frozenset[str] = frozenset()  # rows that are not tried again

    def batches(self, rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
        """Rows by their number, so that no other batch changes when a row is taken out of one."""
        tried = [None if row.row_id in self.guilty else row for row in rows]
        for start in range(0, len(tried), size):
            batch = [row for row in tried[start : start + size] if row is not None]
            together = [row for row in batch if row.row_id not in self.alone]
            if together:
                yield together
            yield from ([row] for row in batch if row.row_id in self.alone)

    def failures(self, rows: Sequence[Row]) -> list[Failure]:
        """Why the guilty rows are not tried again."""
        return [
            Failure(
                row.row_id,
                "worker",
                "permanent",
                f"image {row.image} killed its worker, alone {LIVES} times",
                "look at this picture and at the memory that it needs, or drop the row",
            )
            for row in rows
            if row.row_id in self.guilty
        ]


@dataclass
class ShardFailures:
    """What the coordinator knows of one shard that was under way when a worker died."""

    care: RetryPolicy = field(default_factory=RetryPolicy)
    silent: int = 0
    deaths: Counter[str] = field(default_factory=Counter)  # of rows alone

    def after_death(self, run: RunFolder, shard: int) -> RetryPolicy | None:
        """How to try again; None when that is of no use."""
        noted = take_note(run, shard)
        self.silent += not noted
        if self.silent > SILENT:
            return None
        if len(noted) == 1:
            self.deaths.update(noted)
        guilty = frozenset(row for row, count in self.deaths.items() if count >= LIVES)
        self.care = replace(
            self.care, noted=True, alone=self.care.alone | set(noted), guilty=guilty
        )
        return self.care


def note(run: RunFolder, shard: int, rows: Sequence[Row]) -> None:
    """Write down what a worker is about to do."""
    write_text(_note(run, shard), json.dumps([row.row_id for row in rows]))


def take_note(run: RunFolder, shard: int) -> list[str]:
    """The rows of the note that a dead worker left; empty without one."""
    noted: list[str] = []
    with suppress(FileNotFoundError):
        noted = json.loads(_note(run, shard).read_text())
        _note(run, shard).unlink()
    return noted


def _note(run: RunFolder, shard: int) -> UPath:
    return run.notes / f"{shard}.json"


def forget_notes(run: RunFolder) -> None:
    """Remove what workers wrote down, when none is at work any more."""
    if run.notes.exists():
        remove_folder(run.notes)
