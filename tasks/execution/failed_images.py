"""A run in which no image could be predicted is not finished, whatever else is there."""

from __future__ import annotations

from models.errors import UnfinishedRun
from tasks.runs.folder import RunFolder
from tasks.runs.stages import FAILURES, PREDICT, PREDICTIONS
from tasks.storage.parquet import read_footer, read_table


def refuse_without_predictions(run: RunFolder) -> None:
    """Raise where there is no prediction because every image failed in the network."""
    if any(read_footer(path).num_rows for path in run.parts(PREDICTIONS)):
        return
    parts = run.parts(FAILURES.of(PREDICTIONS.name))
    failures = [row for path in parts for row in read_table(path).to_pylist()]
    in_network = [row for row in failures if row["stage"] == PREDICT]
    if in_network:
        first = in_network[0]
        raise UnfinishedRun(
            f"no image could be predicted: {len(in_network):,} of {len(failures):,} failed in the "
            f"network, the first because {first['message']}: {first['remedy']}, then run again "
            f"with --replace ({run.path} keeps the failures of each image)"
        )
