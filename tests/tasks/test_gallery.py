"""The gallery shows the strongest flags, or, without flags, the least confident predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from conftest import run_here

from models.architectures import ModelSettings
from tasks.catalog import DataSettings
from tasks.gallery import SHOWN, examples_of
from tasks.store import RunFolder


def test_the_strongest_flags_come_first(finished_run: RunFolder) -> None:
    examples = examples_of(finished_run, "grad_cam_pp")
    lifts = [example.lift for example in examples]
    flags = pq.read_table(finished_run.flags).to_pandas()
    flagged = flags[flags["flag"] == "rests_on_background"]["lift"].sort_values()
    assert lifts == list(flagged[:SHOWN])
    for example in examples:
        assert example.picture_HW3.shape == (64, 64, 3)
        assert example.map_HW.shape == (64, 64)
        assert example.mask_HW is not None
        assert 0.05 < example.mask_HW.mean() < 0.4


def test_without_flags_the_least_confident_are_shown(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(benchmark_folder / "images/test", tmp_path / "flat")
    run = run_here(
        tmp_path / "run",
        DataSettings(path=str(tmp_path / "flat")),
        ModelSettings(address=str(bundle)),
    )
    examples = examples_of(run, "grad_cam")
    assert len(examples) == SHOWN
    confidences = [example.confidence for example in examples]
    everyone = pq.read_table(run.path / "predictions")["confidence"].to_numpy()
    np.testing.assert_allclose(confidences, np.sort(everyone)[:SHOWN])
    assert all(example.mask_HW is None for example in examples)


def test_a_picture_that_went_away_is_left_out(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    gone = examples_of(run, "grad_cam_pp")[0].row_id
    catalog = pq.read_table(run.catalog)
    images = [
        "nowhere.png" if row_id == gone else image
        for row_id, image in zip(
            *(catalog[n].to_pylist() for n in ("row_id", "image")), strict=True
        )
    ]
    place = catalog.column_names.index("image")
    pq.write_table(catalog.set_column(place, "image", [images]), run.catalog, row_group_size=40)
    assert gone not in [example.row_id for example in examples_of(run, "grad_cam_pp")]
