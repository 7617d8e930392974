"""A comparison of methods in this process: every part, every figure, again by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from models.map_quality import localisation, sanity
from models.map_quality.faithfulness import find_endpoints, measure
from models.methods.maps import explain
from models.methods.registry import find_method
from models.network.explain_request import ExplainRequest
from tasks import schema
from tasks.attribution.job import reader_of
from tasks.attribution.settings import AttributionSettings, AuditRequest, ComparisonSettings
from tasks.catalog.settings import DataSettings
from tasks.method_comparison.figures import read_measurements
from tasks.method_comparison.summarise import gallery_of, summarise_methods
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Sample
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import CostSummary
from tasks.schema.figures import FAITHFULNESS, LOCALISATION

METHODS = ("grad_cam", "full_grad", "rise:masks=30", "iba", "captum:Saliency")
IMAGES, SHARD = 24, 6

Found = tuple[RunFolder, CostSummary]


@pytest.fixture(scope="module")
def found(benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    request = AuditRequest(
        DataSettings(path=str(benchmark_folder), split="test", sample=IMAGES),
        AttributionSettings(methods=METHODS, shard_size=SHARD),
        comparison=ComparisonSettings(tested=10),
    )
    folder = tmp_path_factory.mktemp("contest") / "run"
    return attribute_in_process(folder, ModelSettings(address=str(bundle)), request)


@pytest.fixture(scope="module")
def summary(found: Found) -> schema.MethodsSummary:
    return summarise_methods(*found)


def samples_of(run: RunFolder, row_ids: list[str]) -> list[Sample]:
    state = open_run(run.path).state
    read = reader_of(state.identity, AuditRequest(DataSettings(path="")).foreground)
    rows = {row.row_id: row for row in rows_of(pq.read_table(str(run.catalog)))}
    samples = [read(rows[row_id]) for row_id in row_ids]
    assert all(isinstance(sample, Sample) for sample in samples)
    return [sample for sample in samples if isinstance(sample, Sample)]


def test_every_method_has_every_part(found: Found) -> None:
    run = open_run(found[0].path)
    assert set(run.methods) == set(METHODS)
    for method in METHODS:
        for shard in run.shards:
            merits, trials = (run.part(f"{kind}/{method}", shard) for kind in ("merits", "trials"))
            assert merits is not None
            assert trials is not None
            assert merits.schema.equals(schema.MERITS)
            assert merits.num_rows == SHARD
            assert trials.num_rows == (SHARD if shard in (0, 2) else 0)  # 10 images: two shards


@pytest.mark.parametrize("name", [name for name in METHODS if name != "iba"])
def test_merits_and_trials_are_those_of_the_map_made_alone(
    name: str, found: Found, bundle: Path
) -> None:
    run = open_run(found[0].path)
    merits, trials = (run.part(f"{kind}/{name}", 0) for kind in ("merits", "trials"))
    assert merits is not None
    assert trials is not None
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    samples = samples_of(found[0], merits["row_id"].to_pylist())
    picture_BCHW = torch.stack([sample.picture_CHW for sample in samples])
    image_BCHW = classifier.preprocessing.normalise(picture_BCHW)
    with torch.no_grad():
        target_B = classifier.network(image_BCHW).argmax(1)
    request = ExplainRequest(classifier.network, image_BCHW, target_B, grid=classifier.grid)
    map_Bhw = explain(find_method(name), request)
    faithful = measure(request, map_Bhw.abs(), find_endpoints(request))
    for column in schema.MERITS.names[3:]:
        stored = merits[column].to_numpy().astype(np.float32)
        np.testing.assert_allclose(stored, getattr(faithful, column).numpy(), atol=0.02)
    mask_BHW = torch.stack([s.mask_HW for s in samples if s.mask_HW is not None]) / 255
    top_B = localisation.top_k(map_Bhw.abs(), mask_BHW).numpy()
    np.testing.assert_allclose(merits["top_k"].to_numpy().astype(float), top_B, atol=0.02)
    forgetful = sanity.randomise(classifier.network, "whole", 0)
    again = ExplainRequest(forgetful, image_BCHW, target_B, grid=classifier.grid)
    alike_B = sanity.rank_correlation(map_Bhw, explain(find_method(name), again)).numpy()
    np.testing.assert_allclose(trials["whole"].to_numpy().astype(float), alike_B, atol=0.02)


def test_all_maps_are_held_against_the_same_interventions(found: Found) -> None:
    run = open_run(found[0].path)
    one, other = (read_measurements(run, method).reliance_N for method in METHODS[:2])
    assert np.isfinite(one).any()
    np.testing.assert_array_equal(one, other)  # no map has a part in what it is compared with


def test_the_summary_holds_every_figure_and_recommends(
    summary: schema.MethodsSummary, found: Found
) -> None:
    assert [row.method for row in summary.methods] == list(METHODS)
    assert (summary.images, summary.tested) == (IMAGES, 2 * SHARD)
    for row in summary.methods:
        assert tuple(row.figures) == schema.METHOD_FIGURES
        for name in (*FAITHFULNESS, *LOCALISATION):
            figure = row.figures[name]
            assert figure is not None, (row.method, name)
            assert figure.low <= figure.value <= figure.high
        assert row.cost.seconds is not None
        assert row.cost.seconds > 0
    assert summary.recommended is None or f"Use {summary.recommended}" in summary.sentence
    assert open_run(found[0].path).methods_summary() == summary


def test_the_catalog_is_mixed_so_that_shards_hold_all_classes(found: Found) -> None:
    table = pq.read_table(str(found[0].catalog))
    assert len(set(table["label"].to_pylist()[:SHARD])) > 1


def test_the_gallery_shows_the_same_images_by_every_method(found: Found) -> None:
    rows = gallery_of(found[0])
    assert len(rows) == 6
    for row in rows:
        assert [column.method for column in row.columns] == list(METHODS)
        assert row.picture_HW3.shape == (64, 64, 3)
        assert row.mask_HW is not None
        for column in row.columns:
            assert column.map_hw is not None
            assert (column.map_hw >= 0).all()
