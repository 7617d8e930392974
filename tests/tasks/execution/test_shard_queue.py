"""What is said of a shard that could not be computed."""

from __future__ import annotations

from typing import Any

import pytest
from distributed import KilledWorker

from models.errors import UserError
from tasks.execution.shard_queue import Progress

WORKER: Any = None  # the one that died; Dask's own words would name it

REASONS = {
    "runs/a/catalog.parquet: No such file or directory": FileNotFoundError(
        2, "No such file or directory", "runs/a/catalog.parquet"
    ),
    "No space left on device": OSError(28, "No space left on device"),
    "its worker died again and again": KilledWorker("shard", WORKER, 0),
    "the model differs": UserError("the model differs"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_of_the_first_is_kept_in_plain_words(reason: str) -> None:
    progress = Progress(total=4)
    progress.add_error(3, REASONS[reason])
    progress.add_error(4, UserError("a later one"))
    assert (progress.broken, progress.reason) == (2, reason)
