"""How carefully a shard is computed once its worker died (tasks/execution/worker_deaths.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upath import UPath

from tasks.pictures.rows import Row
from tasks.pictures.samples import Failure
from tasks.runs.folder import RunFolder
from tasks.storage.files import write_text

DEATHS_ALONE = 2  # after which an image is blamed; two deaths came before


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


def write_note(run: RunFolder, shard: int, rows: Sequence[Row]) -> None:
    """Write down which rows a worker is about to read."""
    write_text(note_path(run, shard), json.dumps([row.row_id for row in rows]))


def note_path(run: RunFolder, shard: int) -> UPath:
    return run.notes / f"{shard}.json"
