"""Training on confirmed patterns: which donors are drawn, what becomes of a compact artefact."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from models.objectives.erm import Erm
from models.objectives.step import Objective
from models.objectives.swap import Swap
from tasks import schema
from tasks.finetune.batches import BatchSampler
from tasks.finetune.images import TrainingImages
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.training_patterns import (
    PatternRows,
    TrainingPattern,
    identity_of,
    read_training_patterns,
)
from tasks.pictures.map_region import Region
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import Pattern
from tasks.storage.files import write_text
from tasks.storage.parquet import write_table
from tests.support.patterns import confirmed_pattern, patterns

SIDE = 32
PLAIN = Preprocessing(crop=(SIDE, SIDE), mean=(0, 0, 0), std=(1, 1, 1))
STILL = FinetuneSettings(objective="erm", batch_size=8, flip="none")
CORNER = Region(((7, 0),), (8, 8))  # the lower left of 8x8 cells


def images_of(count: int, patterns: tuple[PatternRows, ...]) -> TrainingImages:
    """Each of its own brightness, with an object in the middle."""
    image_N111 = torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    mask_NHW = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    mask_NHW[:, 12:20, 12:20] = 255
    image_NCHW = image_N111.expand(count, 3, SIDE, SIDE).contiguous()
    images = TrainingImages.of(image_NCHW, torch.arange(count) % 3, mask_NHW)
    return replace(images, patterns=patterns)


def sampler_of(images: TrainingImages, objective: Objective) -> BatchSampler:
    soft_label_NK = nn.functional.one_hot(images.label_N, 3).float()
    generator = torch.Generator().manual_seed(0)
    return BatchSampler(
        images, soft_label_NK, PLAIN, objective, STILL, generator, torch.device("cpu")
    )


def draw(sampler: BatchSampler, times: int) -> tuple[Tensor, Tensor | None]:
    """The pictures of the first eight images, drawn again and again, and their donors."""
    batches = [
        batch for _ in range(times) for batch in sampler.micro_batches(torch.arange(8), 1, 0, 1)
    ]
    others = [batch.other_BCHW for batch in batches if batch.other_BCHW is not None]
    image_BCHW = torch.cat([batch.image_BCHW for batch in batches]) * 255
    return image_BCHW, torch.cat(others) * 255 if others else None


def test_donors_are_members_of_patterns_each_pattern_equally_often() -> None:
    large, small = torch.arange(20, 50), torch.tensor([60, 61])
    images = images_of(80, (PatternRows(None, large), PatternRows(None, small)))
    _, other_BCHW = draw(sampler_of(images, Swap()), 60)
    assert other_BCHW is not None
    drawn = Counter(other_BCHW[:, 0, 0, 0].round().long().tolist())
    assert drawn.keys() <= {*large.tolist(), *small.tolist()}
    share = sum(drawn[row] for row in small.tolist()) / drawn.total()
    assert share == pytest.approx(0.5, abs=0.07)


def test_without_patterns_donors_are_of_all_images() -> None:
    _, other_BCHW = draw(sampler_of(images_of(80, ()), Swap()), 60)
    assert other_BCHW is not None
    assert len(set(other_BCHW[:, 0, 0, 0].round().tolist())) > 75


def test_a_compact_artefact_is_kept_pasted_or_filled_equally_often() -> None:
    images = images_of(120, (PatternRows(CORNER, torch.tensor([110, 111])),))
    image_NCHW = images.image_NCHW.clone()
    image_NCHW[110:112, :, -4:, :4] = 250
    image_BCHW, _ = draw(sampler_of(replace(images, image_NCHW=image_NCHW), Erm()), 100)
    corner_B, own_B = image_BCHW[:, 0, -2, 1], torch.arange(8).repeat(100).float()
    pasted_B = corner_B > 200
    assert pasted_B.float().mean().item() == pytest.approx(1 / 3, abs=0.06)
    # Filled with the mean of a picture of one brightness, it looks as before.
    torch.testing.assert_close(corner_B[~pasted_B], own_B[~pasted_B], atol=1.0, rtol=0)
    far_BCHW = image_BCHW[:, :, : SIDE // 2, SIDE // 2 :]
    torch.testing.assert_close(far_BCHW.amax((1, 2, 3)), own_B, atol=0.01, rtol=0)


def test_the_artefacts_of_members_are_filled_too() -> None:
    images = images_of(60, (PatternRows(CORNER, torch.tensor([40, 41])),))
    image_NCHW = images.image_NCHW.clone()
    image_NCHW[:8, :, -4:, :4] = 250  # of those that are drawn
    image_BCHW, _ = draw(sampler_of(replace(images, image_NCHW=image_NCHW), Erm()), 100)
    filled_B = image_BCHW[:, 0, -2, 1] < 25
    pasted_B = (image_BCHW[:, 0, -2, 1] >= 25) & (image_BCHW[:, 0, -2, 1] < 100)
    assert filled_B.float().mean().item() == pytest.approx(1 / 3, abs=0.06)
    assert pasted_B.float().mean().item() == pytest.approx(1 / 3, abs=0.06)


def run_with(folder: Path, run: RunFolder, *found: Pattern, rows: list[str]) -> str:
    """A copy of a finished run with these patterns, each of which has these rows."""
    copy = RunFolder.at(shutil.copytree(run.path, folder / "run"))
    summary = open_run(copy.path).summary().model_copy(update={"patterns": patterns(*found)})
    write_text(copy.summary, summary.model_dump_json())
    members = [
        {"row_id": row, "pattern": it.id, "distance": 0.5, "half": "proposes"}
        for it in found
        for row in rows
    ]
    table = pa.Table.from_pylist(members, schema=schema.PATTERN_MEMBERS)
    write_table(copy.pattern_members, table)
    return str(copy.path)


def catalog_of(*rows: str) -> pa.Table:
    return pa.table({"row_id": pa.array(rows, pa.string())})


def test_confirmed_patterns_are_read_with_their_training_images(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    corner: dict[str, Any] = {
        "exchanged": "region",
        "region": CORNER.cells,
        "grid": CORNER.grid,
    }
    found = (
        confirmed_pattern("P1"),
        confirmed_pattern("P2", **corner),
        confirmed_pattern("P3", verdict="not confirmed"),
    )
    run = run_with(tmp_path, finished_run, *found, rows=["a", "b", "c"])
    read = read_training_patterns(run, catalog_of("c", "a", "x"))
    assert [(it.id, it.region) for it in read] == [("P1", None), ("P2", CORNER)]
    assert [it.row_ids.to_pylist() for it in read] == [["a", "c"], ["a", "c"]]
    rows = read[0].among(pa.array(["x", "c", "y", "a"])).row_n
    assert rows.tolist() == [1, 3]


def test_a_training_has_another_identity_with_other_images_of_patterns() -> None:
    one = TrainingPattern("P1", None, pa.array(["a", "b"]))
    assert identity_of([one]) == identity_of([replace(one, row_ids=pa.array(["b", "a"]))])
    for other in (
        replace(one, row_ids=pa.array(["a", "c"])),
        replace(one, region=CORNER),
        replace(one, id="P2"),
    ):
        assert identity_of([one]) != identity_of([other])


def test_an_audit_that_gives_no_donors_is_refused(finished_run: RunFolder, tmp_path: Path) -> None:
    catalog = catalog_of("a", "b")
    with pytest.raises(UserError, match="looked for no patterns: sightline discover does"):
        read_training_patterns(str(finished_run.path), catalog)
    other = confirmed_pattern("P1", verdict="confounded")
    with pytest.raises(UserError, match="has no confirmed pattern to draw donors from"):
        read_training_patterns(run_with(tmp_path / "1", finished_run, other, rows=["a"]), catalog)
    elsewhere = run_with(tmp_path / "2", finished_run, confirmed_pattern("P1"), rows=["x", "y"])
    with pytest.raises(UserError, match="is among the 2 images to train on"):
        read_training_patterns(elsewhere, catalog)
