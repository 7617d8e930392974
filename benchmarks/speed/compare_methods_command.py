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

from benchmarks.audit.known_classifiers import ClassifierSpec, load_known_classifier
from benchmarks.measure import Figure, main
from models.classifier.classifier import save_bundle
from tasks.runs import open_run

CLASSIFIER = ClassifierSpec("first", "default", 0.95, 1)
MINUTES = 4


def run(quick: bool) -> list[Figure]:
    """Seconds of the command, and how many methods and images it compared."""
    known = load_known_classifier(CLASSIFIER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = replace(known.classifier, architecture="sightline:small_resnet")
        save_bundle(folder / "model", own)
        command = [
            *(str(Path(sys.executable).with_name("sightline")), "compare-methods"),
            *("--data", str(known.table.parent), "--split", "test"),
            *("--model", str(folder / "model"), "--out", str(folder / "run")),
            *(("--sample", "8", "--tested", "8") if quick else ()),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
        seconds = time.perf_counter() - start
        summary = open_run(folder / "run").methods_summary()
    figure = Figure(
        f"seconds to compare {len(summary.methods)} methods on {summary.images} pictures", seconds
    )
    if quick:
        return [figure]
    return [replace(figure, goal=f"under {60 * MINUTES}", holds=seconds < 60 * MINUTES)]


if __name__ == "__main__":
    main(run)
