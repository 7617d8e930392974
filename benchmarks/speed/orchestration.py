"""What a shard costs beside its computing: submitted, collected and counted, or known to be done.

A run of one-image shards whose parts are all there already (empty, with the right fingerprints), so
that a worker only reads the catalog and the footers. Two worker processes of a real local cluster.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.audit_in_process import StartedAudit, random_model, start_audit, workers_of
from benchmarks.measure import Figure, at_most, main
from models.classifier.small_resnet import small_preprocessing
from tasks import schema
from tasks.attribution.fingerprints import marks_of, specifications
from tasks.attribution.job import UnfinishedShard, read_shard
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress, attribute_shards
from tasks.runs.folder import write_part

CHUNK = 50  # shards a round
WORKERS = 2


def run(quick: bool) -> list[Figure]:
    """Milliseconds a shard: through the cluster, of the coordinator's CPU, and on a second run."""
    shards, recognitions = (150, 3) if quick else (1_000, 20)
    with tempfile.TemporaryDirectory() as folder:
        started = finished_audit(shards, Path(folder))
        wall, cpu = submit(started)
        again = [recognise(started) for _ in range(recognitions)]
    name = f"{shards:,} finished shards"
    return [
        at_most(10, f"{name} through {WORKERS} workers: ms a shard, submit to count", wall, " ms"),
        at_most(None, f"{name} through {WORKERS} workers: coordinator's CPU ms a shard", cpu),
        at_most(None, f"{name}, recognised by a second run: ms a shard", again),
    ]


def finished_audit(shards: int, folder: Path) -> StartedAudit:
    """A run folder in which nothing is left to compute."""
    table = folder / "images.csv"
    Image.new("RGB", (64, 64)).save(folder / "image.png")
    rows = "".join(f"{number},image.png\n" for number in range(shards))
    table.write_text(f"key,file_name\n{rows}")
    started = start_audit(
        DataSettings(path=str(table), key_column="key"),
        random_model("sightline:small_resnet", folder, small_preprocessing()),
        AttributionSettings(shard_size=1),
        ComputeSettings(workers=WORKERS),
        folder / "audit",
    )
    for shard in range(shards):
        for stage, mark in marks_of(
            specifications(started.job), read_shard(started.job.run, shard)
        ).items():
            path = started.job.run.part(stage, shard)
            write_part(path, schema.PREDICTIONS.empty_table(), mark)
    return started


def submit(started: StartedAudit) -> tuple[list[float], list[float]]:
    """Wall and CPU milliseconds a shard of the coordinator, a chunk a round; the first warms up."""
    wall, cpu = [], []
    with workers_of(started) as client:
        for first in range(0, started.shards, CHUNK):
            progress = Progress(total=CHUNK)
            start, spent = time.perf_counter(), time.process_time()
            shards = [UnfinishedShard(first + number) for number in range(CHUNK)]
            attribute_shards(client, started.job, shards, progress, lambda: None)
            wall.append(1e3 * (time.perf_counter() - start) / CHUNK)
            cpu.append(1e3 * (time.process_time() - spent) / CHUNK)
            if progress.done != CHUNK:
                raise RuntimeError(f"shards were not recognised as finished: {progress}")
    return wall[1:], cpu[1:]


def recognise(started: StartedAudit) -> float:
    """Milliseconds a shard of an attribute stage that finds all its parts and starts no cluster."""
    scratch = str(started.job.run.path.parent / "dask")
    start = time.perf_counter()
    cost = attribute_run(started.job.run, started.compute, scratch, lambda _: None)
    seconds = time.perf_counter() - start
    if cost.computed:  # the parts are empty, and so is what was reused
        raise RuntimeError(f"a second run computed something: {cost}")
    return 1e3 * seconds / started.shards


if __name__ == "__main__":
    main(run)
