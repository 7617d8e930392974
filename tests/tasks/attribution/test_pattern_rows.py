"""What a shard keeps for patterns, computed again one image at a time."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.settings import ModelSettings
from models.methods.registry import PASS_METHODS
from models.network.capture import capture
from models.network.features import project
from tasks import schema
from tasks.attribution.attended_background import attended_background
from tasks.attribution.job import read_shard
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.attribution_stage import job_of
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.properties import measure_pictures
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Sample
from tasks.runs.folder import RunFolder
from tasks.runs.stages import ATTENDED_BACKGROUND, PICTURE_PROPERTIES
from tests.support.audits import run_audit

METHOD = "grad_cam_pp"  # the flags', by default
ATTENDED = ATTENDED_BACKGROUND.of(METHOD)
CHANGES = InterventionSettings(pool=8)


def audit(
    folder: Path, data: DataSettings, bundle: Path, patterns: PatternSettings | None
) -> RunFolder:
    attribution = AttributionSettings(methods=("grad_cam", METHOD), shard_size=8)
    asked = AuditRequest(data, attribution, CHANGES, patterns=patterns)
    return run_audit(folder, data, ModelSettings(address=str(bundle)), asked=asked)


@pytest.fixture(scope="module")
def run(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """Twelve pictures, with masks."""
    data = DataSettings(path=str(benchmark_folder), split="test", limit=12)
    return audit(tmp_path_factory.mktemp("patterns") / "run", data, bundle, PatternSettings())


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return load_classifier(ModelSettings(address=str(bundle)))


def rows(run: RunFolder, stage: Any, shard: int = 0) -> dict[str, dict[str, Any]]:
    part = pq.read_table(run.part(stage, shard))
    assert part.schema.equals(stage.columns)
    return {row["row_id"]: row for row in part.to_pylist()}


def samples_of(run: RunFolder) -> list[Sample]:
    reader = job_of(run, ComputeSettings()).reader
    read = [reader(row) for row in rows_of(read_shard(run, 0))]
    return [sample for sample in read if isinstance(sample, Sample)]


def by_hand(
    classifier: Classifier, sample: Sample, *, marked: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Features, energy by cell, and the share outside; cell by cell."""
    image_1CHW = classifier.preprocessing.normalise(sample.picture_CHW[None])
    seen = capture(classifier.network, classifier.grid, image_1CHW)
    map_hw = PASS_METHODS[METHOD].map_Bhw(seen)[0].double().numpy()
    height, width = map_hw.shape
    weight_hw = np.zeros_like(map_hw)
    for y in range(height):
        for x in range(width):
            inside = 0.0
            if marked:
                assert sample.mask_HW is not None
                cell = sample.mask_HW[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]  # 64 pixels, 8 cells
                inside = float(cell.double().mean()) / 255
            weight_hw[y, x] = max(map_hw[y, x], 0) * (1 - inside)
    outside = weight_hw.sum() / map_hw.clip(0).sum()
    energy_hw = weight_hw / weight_hw.sum()
    activation_Dhw = seen.activation_BDhw[0].double().numpy()
    features_D = sum(
        activation_Dhw[:, y, x] * energy_hw[y, x] for y in range(height) for x in range(width)
    )
    return project(torch.tensor(features_D)[None].float())[0].numpy(), energy_hw, outside


def test_what_a_map_attends_to_beside_the_object_is_that_by_hand(
    run: RunFolder, classifier: Classifier
) -> None:
    kept = rows(run, ATTENDED)
    samples = samples_of(run)
    assert kept.keys() == {sample.row.row_id for sample in samples}
    assert len(kept) == 8
    for sample in samples:
        features_F, energy_hw, outside = by_hand(classifier, sample, marked=True)
        row = kept[sample.row.row_id]
        assert row["features"] == pytest.approx(features_F.tolist(), rel=2e-3, abs=2e-3)
        assert row["energy"] == pytest.approx(energy_hw.flatten().tolist(), rel=2e-3, abs=1e-4)
        assert sum(row["energy"]) == pytest.approx(1, abs=5e-3)
        assert row["outside"] == pytest.approx(outside, abs=1e-4)


def test_without_a_foreground_all_of_the_picture_counts(
    benchmark_folder: Path, bundle: Path, classifier: Classifier, tmp_path: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder / "images/test"), limit=4)
    run = audit(tmp_path / "run", data, bundle, PatternSettings())
    kept = rows(run, ATTENDED)
    for sample in samples_of(run):
        features_F, energy_hw, _ = by_hand(classifier, sample, marked=False)
        row = kept[sample.row.row_id]
        assert row["features"] == pytest.approx(features_F.tolist(), rel=2e-3, abs=2e-3)
        assert row["energy"] == pytest.approx(energy_hw.flatten().tolist(), rel=2e-3, abs=1e-4)
        assert row["outside"] is None


def test_properties_are_those_of_each_picture(run: RunFolder) -> None:
    kept = rows(run, PICTURE_PROPERTIES)
    samples = samples_of(run)
    assert kept.keys() == {sample.row.row_id for sample in samples}
    for sample in samples:
        row = kept[sample.row.row_id]
        for name, value_1 in measure_pictures(sample.picture_CHW[None]).items():
            assert row[name] == pytest.approx(float(value_1), rel=1e-5, abs=1e-6)
        assert sample.file is not None
        assert (row["width"], row["height"], row["jpeg_quality"]) == (64, 64, None)  # PNG
        assert row["blockiness"] == pytest.approx(sample.file.blockiness)


@pytest.mark.parametrize("patterns", [None, PatternSettings(choice="none")])
def test_without_patterns_nothing_is_written_and_no_number_differs(
    run: RunFolder,
    benchmark_folder: Path,
    bundle: Path,
    tmp_path: Path,
    patterns: PatternSettings | None,
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test", limit=12)
    plain = audit(tmp_path / "run", data, bundle, patterns)
    names, more = (
        {str(file.relative_to(it.path)) for file in it.path.rglob("*.parquet")}
        for it in (plain, run)
    )
    new = {f"{s.folder}/part-0000{n}.parquet" for s in (ATTENDED, PICTURE_PROPERTIES) for n in "01"}
    assert more - names == new
    assert names < more
    for name in names:
        found, expected = (pq.read_table(it.path / name) for it in (plain, run))
        assert found.equals(expected, check_metadata=True), name


def test_no_patterns_are_sought_where_no_picture_is_changed(run: RunFolder) -> None:
    compute = ComputeSettings()
    assert job_of(run, compute).patterns_method == METHOD
    state = run.read_state()
    settings = state.settings | {"interventions": {"choice": "none"}}
    run.write_state(state.change(settings=settings))
    try:
        assert job_of(run, compute).patterns_method is None
    finally:
        run.write_state(state)


def test_a_missing_part_is_written_again_and_a_later_run_reuses_all(
    run: RunFolder, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test", limit=12)
    copy = RunFolder.at(shutil.copytree(run.path, tmp_path / "run"))
    copy.part(ATTENDED, 1).unlink()
    kept = copy.part(PICTURE_PROPERTIES, 1).stat().st_mtime_ns
    again = audit(Path(copy.path), data, bundle, PatternSettings())
    assert rows(again, ATTENDED, 1) == rows(run, ATTENDED, 1)
    assert copy.part(PICTURE_PROPERTIES, 1).stat().st_mtime_ns == kept
    attribution = AttributionSettings(methods=("grad_cam", METHOD), shard_size=6)
    asked = AuditRequest(data, attribution, CHANGES, patterns=PatternSettings())
    model = ModelSettings(address=str(bundle))
    later = run_audit(tmp_path / "later", data, model, asked=asked, reuse=Path(run.path))
    for stage in (ATTENDED, PICTURE_PROPERTIES):
        expected = rows(run, stage) | rows(run, stage, 1)
        assert rows(later, stage) | rows(later, stage, 1) == expected


def test_large_maps_are_merged_and_keep_their_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    map_Bhw = torch.randn(2, 32, 28, generator=generator)
    mask_BHW = torch.rand(2, 64, 56, generator=generator)
    activation_BDhw = torch.rand(2, 5, 4, 7, generator=generator)
    (row, _) = attended_background(["a", "b"], map_Bhw, mask_BHW, activation_BDhw).to_pylist()
    cells_hw = mask_BHW[0].reshape(32, 2, 28, 2).mean((1, 3))
    energy_hw = map_Bhw[0].clamp(min=0) * (1 - cells_hw)
    energy_hw /= energy_hw.sum()
    columns_hw = energy_hw.reshape(32, 14, 2).sum(2)
    share_kh = torch.tensor(  # each of 14 rows has 32 / 14 rows of the map
        [
            [max(0.0, min(y + 1, (k + 1) * 32 / 14) - max(y, k * 32 / 14)) for y in range(32)]
            for k in range(14)
        ]
    )
    expected_kk = share_kh @ columns_hw
    assert row["energy"] == pytest.approx(expected_kk.flatten().tolist(), rel=2e-3, abs=1e-5)
    coarse_hw = energy_hw.reshape(4, 8, 7, 4).sum((1, 3))
    features_D = (activation_BDhw[0] * coarse_hw).sum((1, 2))
    assert row["features"] == pytest.approx(features_D.tolist(), rel=2e-3)


def test_where_there_is_nothing_beside_the_object_there_is_no_row_of_numbers() -> None:
    map_Bhw = torch.ones(4, 16, 16)
    map_Bhw[0] = -1  # no energy at all
    map_Bhw[1, 8:] = 0  # none outside of the foreground
    mask_BHW = torch.zeros(4, 64, 64)
    mask_BHW[:2, :32] = 1
    mask_BHW[2] = 1  # nothing is outside
    mask_BHW[3, :16] = 1
    activation_BDhw = torch.ones(4, 3, 2, 2)
    names = ["negative", "inside", "covered", "outside"]
    *none, some = attended_background(names, map_Bhw, mask_BHW, activation_BDhw).to_pylist()
    empty = dict.fromkeys(schema.ATTENDED_BACKGROUND.names[1:])
    assert none == [{"row_id": name} | empty for name in names[:3]]
    assert some["features"] == pytest.approx([1, 1, 1])
    assert math.isclose(some["outside"], 0.75)
    without_layer = attended_background(["a"], map_Bhw[3:], mask_BHW[3:], torch.zeros(1, 0, 0, 0))
    (row,) = without_layer.to_pylist()
    assert row["features"] is None
    assert row["energy"] == some["energy"]
