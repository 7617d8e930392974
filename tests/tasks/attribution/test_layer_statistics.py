"""Layer statistics: computed once, the same in any number of parts, reused by later runs."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from upath import UPath

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UserError
from models.network.capture import capture
from models.network.layers import cached_grid
from models.network.statistics import LEAST_DEVIATION, Moments
from tasks.attribution import layer_statistics
from tasks.attribution.job import reader_of
from tasks.attribution.layer_statistics import (
    count_parts,
    gather_moments,
    read_statistics,
    statistics_images_mark,
)
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import job_of, missing_moments
from tasks.execution.dry_run import estimate
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Sample
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings

METHODS = ("iba", "iba:layer=stage2")


def request_of(benchmark: Path, sample: int = 20) -> AuditRequest:
    data = DataSettings(path=str(benchmark), split="test", sample=sample)
    return AuditRequest(data, AttributionSettings(methods=METHODS, shard_size=10))


def test_moments_of_batches_merge_to_those_of_all() -> None:
    value_BDhw = torch.randn(11, 3, 4, 4, generator=torch.Generator().manual_seed(0)).relu()
    merged = (
        Moments.of(value_BDhw[:4])
        .merge(Moments.of(value_BDhw[4:5]))
        .merge(Moments.of(value_BDhw[5:]))
    )
    statistics = merged.statistics()
    torch.testing.assert_close(statistics.mean_Dhw, value_BDhw.mean(0))
    expected_Dhw = value_BDhw.std(0).clamp(min=LEAST_DEVIATION)
    torch.testing.assert_close(statistics.deviation_Dhw, expected_Dhw)
    torch.testing.assert_close(statistics.active_Dhw, (value_BDhw > 0).any(0))


def test_statistics_are_those_of_the_activations_of_all_drawn_images(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_statistics, "PART", 8)  # three parts
    model = ModelSettings(address=str(bundle))
    run, _ = attribute_in_process(tmp_path / "run", model, request_of(benchmark_folder))
    job = job_of(run, ComputeSettings())
    classifier = load_classifier(model)
    read = reader_of(run.read_state().identity, AuditRequest(DataSettings(path="")).foreground)
    samples = [read(row) for row in rows_of(pq.read_table(str(run.statistics_images)))]
    picture_NCHW = torch.stack([s.picture_CHW for s in samples if isinstance(s, Sample)])
    assert (len(picture_NCHW), count_parts(run)) == (20, 3)
    image_NCHW = classifier.preprocessing.normalise(picture_NCHW)
    for layer in ("stage3", "stage2"):
        grid = cached_grid(classifier.network, layer, classifier.preprocessing.size)
        expected = Moments.of(capture(classifier.network, grid, image_NCHW).activation_BDhw)
        torch.testing.assert_close(
            vars(read_statistics(job, layer)), vars(expected.statistics()), rtol=1e-3, atol=1e-4
        )
    assert not list(missing_moments(job))


def test_a_later_run_reuses_layer_statistics(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    model = ModelSettings(address=str(bundle))
    first, _ = attribute_in_process(tmp_path / "first", model, request_of(benchmark_folder))
    output = OutputSettings(run=str(tmp_path / "second"), reuse=str(first.path))
    second = prepare_run(request_of(benchmark_folder, 24), FetchedModel(model), output, {})
    assert statistics_images_mark(second) == statistics_images_mark(first)
    assert not list(missing_moments(job_of(second, ComputeSettings())))
    alone = OutputSettings(run=str(tmp_path / "third"))
    third = prepare_run(request_of(benchmark_folder, 24), FetchedModel(model), alone, {})
    assert statistics_images_mark(third) != statistics_images_mark(first)
    assert len(list(missing_moments(job_of(third, ComputeSettings())))) == 2  # one part per layer


def test_images_at_another_place_are_not_taken(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    """The earlier run may be somebody else's: its images are opened by this one."""
    earlier, _ = attribute_in_process(
        tmp_path / "earlier", ModelSettings(address=str(bundle)), request_of(benchmark_folder)
    )
    file = earlier.statistics_images
    images = pq.read_table(file)
    column = images.column_names.index("image")
    foreign = images.set_column(column, "image", pa.array(["http://there/a.png"] * len(images)))
    pq.write_table(foreign.replace_schema_metadata(images.schema.metadata), file)
    output = OutputSettings(run=str(tmp_path / "later"), reuse=str(earlier.path))
    model = FetchedModel(ModelSettings(address=str(bundle)))
    later = prepare_run(request_of(benchmark_folder), model, output, {})
    assert not any(
        "://" in it for it in pq.read_table(later.statistics_images)["image"].to_pylist()
    )


def test_too_few_readable_images_are_one_line(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    model = ModelSettings(address=str(bundle))
    output = OutputSettings(run=str(tmp_path / "run"))
    run = prepare_run(request_of(benchmark_folder), FetchedModel(model), output, {})
    rows = pq.read_table(str(run.statistics_images))
    broken = rows.set_column(1, "image", [["/nowhere.png"] * len(rows)])
    metadata = rows.schema.metadata
    pq.write_table(
        broken.cast(rows.schema).replace_schema_metadata(metadata), str(run.statistics_images)
    )
    job = job_of(RunFolder(UPath(run.path)), ComputeSettings())
    classifier = load_classifier(model)
    for layer, part in missing_moments(job):
        gather_moments(job, layer, part, classifier)
    with pytest.raises(UserError, match="fewer than 2 images of the data can be read, and iba"):
        read_statistics(job, "stage3")


def test_a_dry_run_computes_its_own_layer_statistics(benchmark_folder: Path, bundle: Path) -> None:
    text = estimate(
        request_of(benchmark_folder),
        ModelSettings(address=str(bundle)),
        ComputeSettings(batch_size=4),
    )
    assert re.fullmatch(r"20 images, .* a second on one worker: about .* MB", text)
