"""Images that fail in the network: each with its reason; a run of nothing else is unfinished."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torchvision.io import read_image

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import UnfinishedRun
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.schema import CostSummary
from tasks.summary.summarise import summarise
from tests.support.audits import BENCHMARK

PREPARED = Preprocessing(crop=(64, 64))
IMAGES = 11
NETWORK = """
import torch
from torch import nn
from tests.support.networks import tiny_net

class Net(nn.Module):
    classes = {classes}

    def __init__(self):
        super().__init__()
        self.net = tiny_net(4)

    def forward(self, image):
        detail = (image[..., 1:] - image[..., :-1]).abs().flatten(1).mean(1)
        is_picture = (detail > 0) & (detail < 0.45)  # neither plain nor noise, as in trials
        {statement}
        return self.net(image)

def build():
    return Net()
"""
RAISE = "if (is_picture & (image.flatten(1).mean(1) < {level})).any(): raise KeyError('too dark')"
OVERFLOW = "image = torch.where(is_picture[:, None, None, None], image * 1e38 * 1e38, image)"


def audit(folder: Path, benchmark: Path, statement: str) -> tuple[RunFolder, CostSummary]:
    """A few pictures, in two shards, up to their maps and interventions."""
    text = NETWORK.format(statement=statement, classes=list(BENCHMARK.classes))
    (folder / "net.py").write_text(text)
    model = ModelSettings(address=f"{folder / 'net.py'}:build", preprocessing=PREPARED)
    request = AuditRequest(
        DataSettings(path=str(benchmark), split="test", limit=IMAGES),
        AttributionSettings(shard_size=8),
        InterventionSettings(pool=16),
    )
    return attribute_in_process(folder / "run", model, request)


def rows(run: RunFolder, folder: str) -> list[dict[str, Any]]:
    parts = sorted((Path(str(run.path)) / folder).glob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def finish(run: RunFolder) -> CostSummary:
    """The end of the stage, where nothing is left to compute."""
    return attribute_run(run, ComputeSettings(), "unused", lambda _: None)


def median_level(benchmark: Path) -> float:
    """Of the pictures' mean values, as the network gets them."""
    images = sorted((benchmark / "images/test").glob("*.png"))[:IMAGES]
    pictures = [PREPARED.normalise(read_image(str(image))[None]) for image in images]
    return median(float(picture.mean()) for picture in pictures)


def test_pictures_for_which_a_network_raises_are_failures_and_the_others_stay(
    tmp_path: Path, benchmark_folder: Path
) -> None:
    level = median_level(benchmark_folder)
    run, cost = audit(tmp_path, benchmark_folder, RAISE.format(level=level - 1e-4))
    failures = rows(run, "failures/predictions")
    kept = IMAGES // 2 + 1
    assert len(failures) == IMAGES - kept
    assert len(rows(run, "predictions")) == len(rows(run, "maps/grad_cam")) == kept
    changed = len(rows(run, "interventions")) + len(rows(run, "failures/interventions"))
    assert changed == kept  # those that are too dark once their background is another
    assert {row["stage"] for row in failures} == {"predict"}
    assert {row["remedy"] for row in failures} == {"call it by itself with these pictures"}
    assert failures[0]["message"].endswith("net.py:build raised KeyError: 'too dark'")
    finish(run)
    assert summarise(run, FlagSettings(), cost).images.predicted == kept


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (RAISE.format(level=9), "raised KeyError: 'too dark': call it by itself with these pict"),
        (OVERFLOW, "the model's logits are not finite: look at the picture and at the model's we"),
    ],
)
def test_a_run_of_which_every_image_failed_in_the_network_is_unfinished(
    statement: str, why: str, tmp_path: Path, benchmark_folder: Path
) -> None:
    run, _ = audit(tmp_path, benchmark_folder, statement)
    for _ in range(2):  # the same command again
        with pytest.raises(UnfinishedRun) as caught:
            finish(run)
        line = str(caught.value)
        assert line.startswith(f"no image could be predicted: {IMAGES} of {IMAGES} failed in the ")
        assert why in line
        assert "\n" not in line
        assert caught.value.exit_code == 3


def test_images_that_cannot_be_read_are_another_matter(
    tmp_path: Path, benchmark_folder: Path
) -> None:
    """They are failures of the data, which the summary counts."""
    run, _ = audit(tmp_path, benchmark_folder, RAISE.format(level=9))
    for part in (Path(str(run.path)) / "failures/predictions").glob("*.parquet"):
        table = pq.read_table(part)
        column = table.schema.get_field_index("stage")
        unread = pa.array(["read"] * len(table)).cast(table.schema.field(column).type)
        pq.write_table(table.set_column(column, table.schema.field(column), unread), part)
    assert finish(run).computed == 0
