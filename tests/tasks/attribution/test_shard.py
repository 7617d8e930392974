"""A shard: one pass, every part, nothing twice, nothing lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from upath import UPath

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks import schema
from tasks.attribution.job import Job, read_shard
from tasks.attribution.retry_policy import RetryPolicy
from tasks.attribution.settings import AttributionSettings
from tasks.attribution.shard import attribute_shard
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import find_unfinished, job_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress
from tasks.pictures.rows import rows_of
from tasks.runs import open_run
from tasks.runs.folder import RunFolder, write_part
from tests.support.audits import run_audit

ALONE = ComputeSettings(workers=1)


@pytest.fixture
def copy(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return load_classifier(ModelSettings(address=str(bundle)))


def parts_of(run: RunFolder) -> dict[str, int]:
    return {
        str(path.relative_to(run.path)): path.stat().st_mtime_ns
        for path in sorted(run.path.rglob("part-*.parquet"))
    }


def test_every_part_has_its_schema_and_its_rows(finished_run: RunFolder) -> None:
    for shard, rows in ((0, 40), (1, 24)):
        predictions = pq.read_table(finished_run.part("predictions", shard))
        assert predictions.schema.equals(schema.PREDICTIONS)
        assert predictions.num_rows == rows
        for method in AttributionSettings().methods:
            maps = pq.read_table(finished_run.part(f"maps/{method}", shard))
            assert maps.schema.equals(schema.maps_schema(8, 8))
            scores = pq.read_table(finished_run.part(f"scores/{method}", shard))
            assert scores.schema.equals(schema.SCORES)
            assert maps.num_rows == scores.num_rows == rows
        features = pq.read_table(finished_run.part("features", shard))
        assert features.schema.equals(schema.FEATURES)
        assert {len(vector) for vector in features["object"].to_pylist()} == {64}


def test_a_second_pass_computes_nothing(copy: RunFolder, classifier: Classifier) -> None:
    before = parts_of(copy)
    done = attribute_shard(job_of(copy, ALONE), 0, classifier)
    assert (done.computed, done.reused) == (0, 40)
    assert parts_of(copy) == before


def test_the_cost_of_each_step_is_counted(copy: RunFolder, classifier: Classifier) -> None:
    parts = [path for path in copy.path.rglob("part-00000.parquet") if "estimates" not in str(path)]
    stages = [path for path in parts if "failures" not in str(path) and "votes" not in str(path)]
    size = sum(pq.read_table(path).nbytes for path in stages)
    for path in parts:
        path.unlink()
    done = attribute_shard(job_of(copy, ALONE), 0, classifier)
    read, compute, write = done.steps
    assert (read.name, compute.name, write.name) == ("read", "compute", "write")
    assert (read.images, compute.images, write.images) == (40, 40, 40)
    assert (read.bytes, compute.bytes) == (None, None)
    assert write.bytes == pytest.approx(size, rel=0.05)  # a table read back has other buffers
    assert all(step.seconds > 0 for step in done.steps)
    assert sum(step.seconds for step in done.steps) <= done.seconds
    assert attribute_shard(job_of(copy, ALONE), 0, classifier).steps == ()


def test_only_the_missing_part_is_written_again(copy: RunFolder, classifier: Classifier) -> None:
    lost = copy.part("maps/layer_cam", 0)
    expected = pq.read_table(lost)
    lost.unlink()
    before = parts_of(copy)
    assert attribute_shard(job_of(copy, ALONE), 0, classifier).computed == 40
    after = parts_of(copy)
    assert {name: after[name] for name in before} == before
    assert pq.read_table(lost).equals(expected)


def test_another_method_adds_parts_and_rewrites_none(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, classifier: Classifier
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test", limit=20)
    model = ModelSettings(address=str(bundle))
    run = run_audit(tmp_path / "run", data, model, AttributionSettings(methods=("grad_cam",)))
    before = parts_of(run)
    job = job_of(run, ALONE)
    more = replace(job, attribution=AttributionSettings(methods=("grad_cam", "layer_cam")))
    attribute_shard(more, 0, classifier)
    after = parts_of(run)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "maps/layer_cam/part-00000.parquet",
        "scores/layer_cam/part-00000.parquet",
    }


def test_rows_do_not_depend_on_the_batch(copy: RunFolder, classifier: Classifier) -> None:
    expected = open_run(copy.path).maps(["images/test/00003.png"], "grad_cam_pp")
    shutil.rmtree(copy.path / "maps")
    attribute_shard(replace(job_of(copy, ALONE), batch_size=3), 0, classifier)
    found = open_run(copy.path).maps(["images/test/00003.png"], "grad_cam_pp")
    for row_id, map_hw in expected.items():
        np.testing.assert_allclose(found[row_id], map_hw, atol=1e-3 * map_hw.max())


def test_unreadable_images_are_failures_and_the_rest_goes_on(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    (data / "images/test/00001.png").write_bytes(b"")
    (data / "images/test/00002.png").unlink()
    shutil.copy(data / "masks/test/00003.png", data / "masks/test/00004.png")
    crooked = data / "masks/test/00005.png"
    crooked.write_bytes((data / "masks/test/00005.png").read_bytes()[:30])
    settings = DataSettings(path=str(data), split="test", limit=12)
    run = run_audit(tmp_path / "run", settings, ModelSettings(address=str(bundle)))
    failures = pq.read_table(run.part("failures/predictions", 0)).to_pylist()
    found = {(row["row_id"][-9:], row["stage"], row["kind"]) for row in failures}
    assert found == {
        ("00001.png", "read", "permanent"),
        ("00002.png", "read", "transient"),
        ("00005.png", "foreground", "permanent"),
    }
    assert pq.read_table(run.part("predictions", 0)).num_rows == 10
    assert pq.read_table(run.part("scores/grad_cam", 0)).num_rows == 9
    summary = open_run(run.path).summary()
    assert (summary.images.predicted, summary.images.failed) == (10, 2)
    assert summary.flags["undecided"].count == 10  # too few to calibrate a threshold on


def test_a_mended_file_continues_the_run_and_computes_its_shard(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    settings = DataSettings(path=str(data), split="test", limit=8)
    model, attribution = ModelSettings(address=str(bundle)), AttributionSettings(shard_size=4)
    (data / "images/test/00005.png").write_bytes(b"")
    before = parts_of(run_audit(tmp_path / "run", settings, model, attribution))
    shutil.copy(benchmark_folder / "images/test/00005.png", data / "images/test/00005.png")
    run = run_audit(tmp_path / "run", settings, model, attribution)
    summary = open_run(run.path).summary()
    assert (summary.cost.computed, summary.cost.reused) == (4, 4)
    assert summary.images.predicted == 8
    after = parts_of(run)
    assert {name for name in before if after.get(name) != before[name]} == {
        name for name in before if name.endswith("part-00001.parquet")
    }


def test_only_what_was_asked_for_is_summarised(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test", limit=8)
    model = ModelSettings(address=str(bundle))
    run_audit(tmp_path / "run", data, model)
    one = AttributionSettings(methods=("grad_cam_pp",))
    run = run_audit(tmp_path / "run", data, model, one)
    assert [row.method for row in open_run(run.path).summary().methods] == ["grad_cam_pp"]


def audit_while_one_is_away(benchmark_folder: Path, bundle: Path, folder: Path) -> RunFolder:
    """Eight images, one of which is back only afterwards."""
    data = shutil.copytree(benchmark_folder, folder / "data")
    away = data / "images/test/00002.png"
    away.rename(folder / "away.png")
    settings = DataSettings(path=str(data), split="test", limit=8)
    run = run_audit(folder / "failed", settings, ModelSettings(address=str(bundle)))
    (folder / "away.png").rename(away)
    return run


def test_a_transient_failure_is_tried_again(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, classifier: Classifier
) -> None:
    run = audit_while_one_is_away(benchmark_folder, bundle, tmp_path)
    done = attribute_shard(job_of(run, ALONE), 0, classifier)
    assert (done.computed, done.reused) == (1, 7)  # the others are taken from their own parts
    assert not run.part("failures/predictions", 0).exists()
    assert pq.read_table(run.part("maps/grad_cam", 0)).num_rows == 8


class Killed(Exception):
    pass


class FewChanges:
    """Lets a shard change so many files of its run, then kills it."""

    def __init__(self, most: int, patch: pytest.MonkeyPatch) -> None:
        self.left = most
        self.unlink = Path.unlink
        patch.setattr("tasks.attribution.shard.write_part", self._write)
        patch.setattr(Path, "unlink", lambda path, missing_ok=False: self._remove(path, missing_ok))

    def _write(self, path: UPath, *content: Any) -> None:
        self._count()
        write_part(path, *content)

    def _remove(self, path: Path, missing_ok: bool) -> None:
        if path.suffix == ".parquet" and path.exists():
            self._count()
        self.unlink(path, missing_ok)

    def _count(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def test_no_row_is_lost_wherever_the_retry_of_a_failure_is_killed(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, classifier: Classifier
) -> None:
    failed = audit_while_one_is_away(benchmark_folder, bundle, tmp_path)
    killed = True
    while killed:
        changes = len(list(tmp_path.glob("run-*")))
        run = RunFolder(Path(shutil.copytree(failed.path, tmp_path / f"run-{changes}")))
        job = job_of(run, ALONE)
        with pytest.MonkeyPatch.context() as patch:
            FewChanges(changes, patch)
            try:
                attribute_shard(job, 0, classifier)
                killed = False
            except Killed:
                pass
        for it in find_unfinished(job, Progress(total=8)):
            attribute_shard(job, it.number, classifier, is_new=it.is_new)
        assert list(find_unfinished(job, Progress(total=8))) == []
        for part in ("predictions", "features", "maps/grad_cam", "interventions"):
            assert pq.read_table(run.part(part, 0)).num_rows == 8, (part, changes)
        assert list((run.path / "failures").rglob("*.parquet")) == []
    assert changes > 10


def test_a_shard_without_a_readable_image_has_empty_parts(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    for index in range(4):
        (data / f"images/test/{index:05d}.png").write_bytes(b"no picture")
    settings = DataSettings(path=str(data), split="test", limit=8)
    attribution = AttributionSettings(shard_size=4)
    run = run_audit(tmp_path / "run", settings, ModelSettings(address=str(bundle)), attribution)
    empty, full = (pq.read_table(run.part("maps/grad_cam", shard)) for shard in (0, 1))
    assert (empty.num_rows, full.num_rows) == (0, 4)
    assert empty.schema.equals(full.schema)


def test_maps_that_are_not_finite_are_failures(copy: RunFolder, classifier: Classifier) -> None:
    shutil.rmtree(copy.path / "maps")
    broken = _with_nan_gradient(classifier)
    attribute_shard(job_of(copy, ALONE), 0, broken)
    assert pq.read_table(copy.part("maps/grad_cam", 0)).num_rows == 0
    failures = pq.read_table(copy.part("failures/grad_cam", 0)).to_pylist()
    assert len(failures) == 40
    assert failures[0]["message"] == "the grad_cam map is not finite"


def test_the_label_can_be_explained_instead(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test", limit=8)
    attribution = AttributionSettings(target="label", methods=("grad_cam",))
    run = run_audit(tmp_path / "run", data, ModelSettings(address=str(bundle)), attribution)
    maps = pq.read_table(run.part("maps/grad_cam", 0))
    labels = pq.read_table(run.part("predictions", 0))["label"]
    assert maps["target"].to_pylist() == labels.to_pylist()


def test_explaining_labels_needs_them(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> None:
    flat = DataSettings(path=str(_flat(benchmark_folder, tmp_path / "flat")))
    with pytest.raises(UserError, match="target label needs a label for each image; 3 of 3"):
        run_audit(
            tmp_path / "run",
            flat,
            ModelSettings(address=str(bundle)),
            AttributionSettings(target="label"),
        )


def test_without_masks_nothing_is_scored_or_flagged(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    flat = DataSettings(path=str(_flat(benchmark_folder, tmp_path / "flat")))
    run = run_audit(tmp_path / "run", flat, ModelSettings(address=str(bundle)))
    summary = open_run(run.path).summary()
    assert summary.foreground.source == "none"
    assert summary.flagged.of == 0
    assert summary.flags["undecided"].count == 3
    assert not (run.path / "scores").exists()
    assert pq.read_table(run.part("features", 0))["object"].null_count == 3


def _flat(benchmark: Path, folder: Path) -> Path:
    folder.mkdir()
    for index in range(3):
        shutil.copy(benchmark / f"images/test/{index:05d}.png", folder)
    return folder


class _NanBackward(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: object, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * torch.nan


class _NanPool(torch.nn.Module):
    def forward(self, x_BDhw: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = _NanBackward.apply(x_BDhw).mean((2, 3), keepdim=True)
        return pooled


def _with_nan_gradient(classifier: Classifier) -> Classifier:
    import copy as copies

    network = copies.deepcopy(classifier.network)
    network.pool = _NanPool()
    return replace(classifier, network=network)


def test_a_job_travels_to_a_worker(finished_run: RunFolder) -> None:
    from distributed.protocol import deserialize, serialize

    job = job_of(finished_run, ALONE)
    again = deserialize(*serialize(job))
    assert isinstance(again, Job)
    assert again == job


def test_an_image_that_fails_for_one_more_method_keeps_its_prediction_and_is_reported(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, classifier: Classifier
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    settings = DataSettings(path=str(data), split="test", limit=4)
    model = ModelSettings(address=str(bundle))
    run = run_audit(tmp_path / "run", settings, model, AttributionSettings(methods=("grad_cam",)))
    job = replace(job_of(run, ALONE), attribution=AttributionSettings(methods=("layer_cam",)))
    blamed = rows_of(read_shard(run, 0))[1].row_id
    attribute_shard(job, 0, classifier, RetryPolicy(noted=True, blamed=frozenset({blamed})))
    reader = open_run(run.path)
    assert len(reader.table()) == 4
    assert pq.read_table(run.part("maps/layer_cam", 0)).num_rows == 3
    (failure,) = pq.read_table(run.part("failures/layer_cam", 0)).to_pylist()
    assert (failure["row_id"], failure["stage"]) == (blamed, "worker")
    assert not run.part("failures/predictions", 0).exists()
