"""Whole shards with transformers and with pixel maps, from the model's address to the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.classifier.classifier import Classifier, load_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import UserError
from models.methods.registry import LAYER_METHODS, PASS_METHODS
from models.network.capture import capture
from models.network.grid import Grid
from tasks import schema
from tasks.attribution.batch import explain_batch, explain_within_memory
from tasks.attribution.job import read_shard
from tasks.attribution.plan import Plan
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import MAPS, PREDICTIONS
from tests.support import method_oracles
from tests.support.audits import BENCHMARK, run_audit
from tests.support.networks import TRANSFORMERS

FACTORY = """
from tests.support.networks import tiny_transformer

def build():
    network = tiny_transformer({name!r})
    network.classes = {classes!r}
    network.preprocessing = {{"resize": [32, 32], "crop": [32, 32]}}
    return network
"""
MASKS = MaskReading("foreground", "upright")
CELLS = {"swin": 8, "swin_v2": 8}  # per side; the others have 4
EVERY = AttributionSettings(methods=tuple(PASS_METHODS))


def factory(name: str, folder: Path) -> ModelSettings:
    path = folder / f"{name}.py"
    path.write_text(FACTORY.format(name=name, classes=BENCHMARK.classes))
    return ModelSettings(address=f"{path}:build")


@pytest.fixture
def data(benchmark_folder: Path) -> DataSettings:
    return DataSettings(path=str(benchmark_folder), split="test", limit=6)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_is_audited_as_any_network(
    name: str, data: DataSettings, tmp_path: Path
) -> None:
    run = run_audit(tmp_path / "run", data, factory(name, tmp_path), EVERY)
    assert open_run(run.path).summary().images.failed == 0
    side = CELLS.get(name, 4)
    for method in PASS_METHODS.values():
        cells = side if method.reads == "layer" else 32
        maps = pq.read_table(run.part(f"maps/{method.name}", 0))
        assert maps.schema.equals(schema.maps_schema(cells, cells))
        scores = pq.read_table(run.part(f"scores/{method.name}", 0))
        assert maps.num_rows == scores.num_rows == 6
        zeros = scores["lift"].null_count  # a rectified map may have nothing left
        assert zeros == 0 if method.reads == "image" else zeros < 6
    features = pq.read_table(run.part("features", 0))
    assert features["object"].null_count == 0
    assert len(features["whole"][0]) == 16


def test_a_transformer_comes_back_from_its_bundle(tmp_path: Path) -> None:
    classifier = load_classifier(factory("vit_registers", tmp_path))
    save_bundle(tmp_path / "bundle", classifier)
    again = load_classifier(ModelSettings(address=str(tmp_path / "bundle"), allow_factory=True))
    assert again.grid == classifier.grid
    assert again.grid is not None
    assert again.grid == Grid(again.grid.layer, 4, 4, "BTD", prefix=3)


def test_maps_and_scores_of_pixels_are_those_of_one_pass_by_hand(
    data: DataSettings, tmp_path: Path
) -> None:
    settings = factory("vit", tmp_path)
    run = run_audit(tmp_path / "run", data, settings, EVERY)
    classifier = load_classifier(settings)
    samples = samples_of(run, classifier.preprocessing)
    picture_BCHW = torch.stack([sample.picture_CHW for sample in samples])
    image_BCHW = classifier.preprocessing.normalise(picture_BCHW)
    seen = capture(classifier.network, classifier.grid, image_BCHW, to_image=True)
    for name in ("saliency", "input_x_gradient"):
        expected_BHW = PASS_METHODS[name].map_Bhw(seen)
        stored = open_run(run.path).maps([sample.row.row_id for sample in samples], name)
        scores = {
            row["row_id"]: row for row in pq.read_table(run.part(f"scores/{name}", 0)).to_pylist()
        }
        for sample, expected_HW in zip(samples, expected_BHW.double().numpy(), strict=True):
            magnitude = np.abs(expected_HW).max()
            row, map_HW = scores[sample.row.row_id], stored[sample.row.row_id]
            np.testing.assert_allclose(map_HW, expected_HW, atol=1e-3 * magnitude)
            assert sample.mask_HW is not None
            mask_HW = sample.mask_HW.double().numpy() / 255
            assert row["area"] == pytest.approx(mask_HW.mean(), abs=1e-5)
            share = method_oracles.foreground_share(expected_HW, mask_HW)
            assert row["share"] == pytest.approx(share, abs=1e-4)
            assert row["lift"] == pytest.approx(method_oracles.lift(expected_HW, mask_HW), abs=1e-3)
            assert row["pointing"] == method_oracles.pointing(np.abs(expected_HW), mask_HW)


def samples_of(run: RunFolder, preprocessing: Preprocessing) -> list[Sample]:
    read = [read_sample(row, preprocessing, MASKS) for row in rows_of(read_shard(run, 0))]
    return [sample for sample in read if isinstance(sample, Sample)]


def test_maps_of_pixels_are_made_only_when_they_are_asked_for(
    data: DataSettings, bundle: Path, tmp_path: Path
) -> None:
    model = ModelSettings(address=str(bundle))
    run = run_audit(tmp_path / "run", data, model)
    assert open_run(run.path).methods == sorted(LAYER_METHODS)


def test_maps_of_cells_are_the_same_beside_maps_of_pixels(
    data: DataSettings, bundle: Path, tmp_path: Path
) -> None:
    model = ModelSettings(address=str(bundle))
    alone = open_run(run_audit(tmp_path / "alone", data, model).path)
    beside = open_run(run_audit(tmp_path / "beside", data, model, EVERY).path)
    row_ids = alone.table()["row_id"].to_pylist()
    for method in LAYER_METHODS:
        ours, theirs = (run.maps(row_ids, method) for run in (beside, alone))
        for row_id in row_ids:
            largest = theirs[row_id].max()
            np.testing.assert_allclose(ours[row_id], theirs[row_id], atol=2e-3 * largest)


def test_labels_are_explained_on_pixels_too(
    data: DataSettings, bundle: Path, tmp_path: Path
) -> None:
    attribution = AttributionSettings(target="label", methods=("saliency",))
    run = run_audit(tmp_path / "run", data, ModelSettings(address=str(bundle)), attribution)
    maps = pq.read_table(run.part("maps/saliency", 0))
    labels = pq.read_table(run.part("predictions", 0))["label"]
    assert maps["target"].to_pylist() == labels.to_pylist()


NO_GRADIENT = """
import torch
from tests.support.networks import TinyNet

class NoGradient(TinyNet):
    classes = {classes!r}
    preprocessing = {{"crop": [32, 32]}}

    def forward(self, image_BCHW):
        with torch.no_grad():
            x_BDhw = self.stem(image_BCHW)
        return self.fc(self.last(x_BDhw).mean((2, 3)))

def build():
    return NoGradient(4).eval()
"""


def test_a_network_without_a_gradient_of_the_picture_is_refused_before_the_first_image(
    data: DataSettings, tmp_path: Path
) -> None:
    (tmp_path / "no_gradient.py").write_text(NO_GRADIENT.format(classes=BENCHMARK.classes))
    model = ModelSettings(address=f"{tmp_path / 'no_gradient.py'}:build", layer="last")
    run_audit(tmp_path / "cams", data, model)
    with pytest.raises(UserError) as caught:
        run_audit(tmp_path / "run", data, model, EVERY)
    assert str(caught.value) == (
        "the logits do not follow from the picture by a gradient: choose other --methods"
    )
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_fit_the_memory_is_halved(
    benchmark_folder: Path, bundle: Path
) -> None:
    """With the error of torch's allocator, from more than three pictures on."""
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    samples = readable(benchmark_folder, classifier, 8)
    plan = Plan(classifier, AttributionSettings(), frozenset((PREDICTIONS, MAPS.of("grad_cam"))))
    whole, _ = explain_batch(plan, samples)
    sizes: list[int] = []

    def narrow(_: object, arguments: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(arguments[0]))
        if len(arguments[0]) > 3:
            torch.empty(1 << 60)  # the allocator's own refusal

    handle = classifier.network.register_forward_pre_hook(narrow)
    try:
        parts = list(explain_within_memory(plan, samples))
    finally:
        handle.remove()
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    assert all(failures == [] for _, failures in parts)
    table = pa.Table.from_batches([rows[PREDICTIONS] for rows, _ in parts])
    assert table["row_id"].to_pylist() == whole[PREDICTIONS]["row_id"].to_pylist()


def test_an_image_that_does_not_fit_alone_is_a_transient_failure(
    benchmark_folder: Path, bundle: Path
) -> None:
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    samples = readable(benchmark_folder, classifier, 2)
    plan = Plan(classifier, AttributionSettings(), frozenset((PREDICTIONS,)))

    def never(*_: object) -> None:
        raise MemoryError

    handle = classifier.network.register_forward_pre_hook(never)
    try:
        parts = list(explain_within_memory(plan, samples))
    finally:
        handle.remove()
    assert [rows for rows, _ in parts] == [{}, {}]
    failures = [failure for _, failed in parts for failure in failed]
    assert [failure.kind for failure in failures] == ["transient", "transient"]
    assert "does not fit into the memory of cpu" in failures[0].message


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    benchmark_folder: Path, bundle: Path
) -> None:
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    samples = readable(benchmark_folder, classifier, 2)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    handle = classifier.network.register_forward_pre_hook(broken)
    plan = Plan(classifier, AttributionSettings(), frozenset((PREDICTIONS,)))
    try:
        with pytest.raises(RuntimeError, match="shapes do not match"):
            list(explain_within_memory(plan, samples))
    finally:
        handle.remove()


def readable(benchmark: Path, classifier: Classifier, count: int) -> list[Sample]:
    """The first pictures of the benchmark, as a worker reads them."""
    samples = []
    for index in range(count):
        row = Row(str(index), str(benchmark / f"images/test/{index:05d}.png"), None)
        sample = read_sample(row, classifier.preprocessing, MASKS)
        assert isinstance(sample, Sample)
        samples.append(sample)
    return samples
