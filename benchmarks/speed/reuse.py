"""An audit of which 90% was there yesterday: the time of the second beside that of a full one.

Both through a local cluster of two workers, from the catalog to the summary: what a user waits for
but Prefect's and MLflow's own seconds. Photographs of 500x375 and resnet18, as in production.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.audit_in_process import random_model
from benchmarks.measure import Figure, at_most, main
from benchmarks.speed.jpeg_files import photographs
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.runs.settings import OutputSettings
from tasks.summary.summarise import summarise

WORKERS = 2
NEW = 0.1  # share of the rows that is new, spread over the catalog


def run(quick: bool) -> list[Figure]:
    """Seconds with reuse / seconds without, rounds alternating."""
    count, rounds = (300, 1) if quick else (10_000, 2)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        model = random_model("torchvision:resnet18", runs)
        old, all_of_it = split(photographs(count), runs)
        audit(old, model, runs / "old", None)
        for number in range(rounds):
            full = audit(all_of_it, model, runs / f"full{number}", None)
            ratios.append(audit(all_of_it, model, runs / f"part{number}", runs / "old") / full)
    name = f"{count:,} photographs, {1 - NEW:.0%} of them in the previous run: time of a full audit"
    goal = None if quick else 0.15  # the start of a cluster is most of a small audit
    return [at_most(goal, name, ratios)]


def split(photographs: Path, folder: Path) -> tuple[Path, Path]:
    """Two folders of the same pictures: nine of ten, and all."""
    old, all_of_it = folder / "yesterday", folder / "today"
    for number, picture in enumerate(sorted(photographs.glob("*.jpg"))):
        for data in (old, all_of_it):
            data.mkdir(exist_ok=True)
            if data is all_of_it or number % round(1 / NEW):
                (data / picture.name).symlink_to(picture)
    return old, all_of_it


def audit(data: Path, model: ModelSettings, run: Path, reuse: Path | None) -> float:
    """Seconds from the settings to summary.json."""
    start = time.perf_counter()
    settings = DataSettings(path=str(data))
    request = AuditRequest(settings)
    output = OutputSettings(run=str(run), reuse=None if reuse is None else str(reuse))
    folder = prepare_run(
        request, FetchedModel(model), output, {"model": model.model_dump(mode="json")}
    )
    compute = ComputeSettings(workers=WORKERS)
    cost = attribute_run(folder, compute, f"{run}-dask", lambda _: None)
    summarise(folder, FlagSettings(), cost)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(run)
