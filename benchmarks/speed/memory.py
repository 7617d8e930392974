"""What the coordinator of a large audit holds, and what a shard costs it: a network that is nearly
nothing over many rows, through all stages up to the page's examples.

The rows share a few small pictures, so that reading and computing take little and the catalog,
the futures and the tables are as long as they would be.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.audit_in_process import StartedAudit, start_audit
from benchmarks.measure import Figure, main
from benchmarks.speed.peak_memory import PeakMemory, track_peak_memory
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.summary.examples import examples_of
from tasks.summary.summarise import summarise

PICTURES = 64
WORKERS = 2
METHOD = "grad_cam_pp"
MODEL = """
import torch

class Stub(torch.nn.Module):
    classes = ("a", "b")
    preprocessing = {"crop": [16, 16]}

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 8, stride=8)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, image):
        return self.head(self.convolution(image).relu().mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Stub()
"""


def run(quick: bool) -> list[Figure]:
    """Growth of the coordinator in MB by stage, and its milliseconds a shard."""
    few, rows = 2_000, 10_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        audit(few, Path(folder) / "first")  # what is imported and allocated once is not growth
        before = PeakMemory().before
        peaks, each = audit(rows, Path(folder) / "second")
    figures = [
        Figure(f"{rows:,} rows, {stage}: MB above the start", (peak - before) / 1e6)
        for stage, peak in peaks.items()
    ]
    most = (max(peaks.values()) - before) / 1e6
    return [
        *figures,
        Figure(f"{rows:,} rows: largest growth, MB", most, goal="at most 100", holds=most <= 100),
        Figure(
            f"{rows:,} rows: coordinator's CPU ms a shard of 256",
            each,
            goal="at most 10",
            holds=each <= 10,
        ),
    ]


def audit(rows: int, folder: Path) -> tuple[dict[str, int], float]:
    """Most bytes of each stage, and milliseconds of CPU a shard."""
    folder.mkdir()
    compute = ComputeSettings(workers=WORKERS, batch_size=64)
    peaks = {}
    with track_peak_memory() as memory:
        started = prepare(rows, folder, compute)
    peaks["catalog"] = memory.most
    run = started.job.run
    with track_peak_memory() as memory:
        spent: list[float] = []  # CPU seconds when each shard was counted
        cost = attribute_run(
            run, compute, str(folder / "dask"), lambda _: spent.append(time.process_time())
        )
    peaks["attribute"] = memory.most
    if cost.computed != rows:
        raise RuntimeError(f"not every row was computed: {cost}")
    with track_peak_memory() as memory:
        summarise(run, FlagSettings(method=METHOD), cost)
        examples_of(run, METHOD)
    peaks["flag and report"] = memory.most
    first, last = spent[1], spent[-1]  # the start of the cluster belongs to no shard
    return peaks, 1e3 * (last - first) / (len(spent) - 2)


def prepare(rows: int, folder: Path, compute: ComputeSettings) -> StartedAudit:
    """A table of so many rows, with labels and masks, as a run folder."""
    chance = np.random.default_rng(0)
    (folder / "net.py").write_text(MODEL)
    mask_HW = np.zeros((16, 16), np.uint8)
    mask_HW[4:12, 4:12] = 255
    Image.fromarray(mask_HW).save(folder / "mask.png")
    for number in range(PICTURES):
        Image.fromarray(chance.integers(0, 255, (16, 16, 3), np.uint8)).save(
            folder / f"{number}.png"
        )
    with (folder / "images.csv").open("w") as table:
        table.write("key,file_name,label,mask,camera\n")
        for row in range(rows):
            table.write(f"{row:08d},{row % PICTURES}.png,{'ab'[row % 2]},mask.png,{row % 7}\n")
    return start_audit(
        DataSettings(path=str(folder / "images.csv"), key_column="key"),
        ModelSettings(address=f"{folder / 'net.py'}:build"),
        AttributionSettings(methods=(METHOD,)),
        compute,
        folder / "run",
    )


if __name__ == "__main__":
    main(run)
