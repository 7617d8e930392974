"""How long the whole command takes: eight methods on 64 pictures of the benchmark, small network.

The command as a user gives it, in processes of its own: Prefect's server, the Dask cluster, every
metric, the page and MLflow. Wall time on this machine, once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.audit.known_classifiers import World, known
from benchmarks.measure import Figure, main
from models.classifier.classifier import save_bundle
from tasks.runs.reader import open_run

WORLD = World("first", "default", 0.95, 1)
MINUTES = 4


def run(quick: bool) -> list[Figure]:
    """Seconds of the command, and how many methods and images it compared."""
    there = known(WORLD)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = replace(there.classifier, architecture="sightline:small_resnet")
        save_bundle(folder / "model", own)
        command = [
            *(str(Path(sys.executable).with_name("sightline")), "compare-methods"),
            *("--data", str(there.table.parent), "--split", "test"),
            *("--model", str(folder / "model"), "--out", str(folder / "run")),
            *(("--sample", "8", "--tested", "8") if quick else ()),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
        seconds = time.perf_counter() - start
        summary = open_run(folder / "run").rivals()
    told = f"seconds to compare {len(summary.methods)} methods on {summary.images} pictures"
    goal = "" if quick else f"under {60 * MINUTES}"
    return [Figure(told, seconds, None, None, goal, None if quick else seconds < 60 * MINUTES)]


if __name__ == "__main__":
    main(run)
