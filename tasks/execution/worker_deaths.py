"""A shard that kills its worker, narrowed down to the image that causes it.

A worker that dies leaves no reason. So its shard is computed again, and each batch is written to a
note before it is read; when the worker dies again, the images of the note are computed one by one;
an image that kills its worker alone, too, becomes a failure, and the other rows are unaffected.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from models.errors import UnfinishedRun
from tasks.attribution.retry_policy import DEATHS_ALONE, RetryPolicy, note_path
from tasks.runs.folder import RunFolder

# After which a shard, or the statistics of a layer, is given up: none of the images is to blame.
DEATHS_WITHOUT_NOTE = 5


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


def check_deaths(layer: str, deaths: int) -> None:
    """Give up the statistics of a layer whose workers die again and again."""
    if deaths > DEATHS_WITHOUT_NOTE:
        raise UnfinishedRun(
            f"the statistics of layer {layer} were not computed: workers that read their images "
            "died again and again: give workers more memory, or leave out the methods that need "
            "them (iba)"
        )


def take_note(run: RunFolder, shard: int) -> list[str]:
    """Read and delete the note that a dead worker left; empty where none is whole."""
    noted: object = None
    with suppress(FileNotFoundError):
        with suppress(ValueError):
            noted = json.loads(note_path(run, shard).read_text())
        note_path(run, shard).unlink()
    return list(map(str, noted)) if isinstance(noted, list) else []
