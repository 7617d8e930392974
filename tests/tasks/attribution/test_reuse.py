"""Only new or changed rows are computed; the others are reused unchanged."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import tasks.catalog.catalog
import tasks.pictures.samples
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.attribution.job import count_shards
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.attribution.shard import ShardResult, attribute_shard
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import job_of
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import Row
from tasks.pictures.samples import read_sample
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings

STAGES = ("predictions", "features", "maps/grad_cam", "scores/grad_cam", "interventions")
METHODS = ("grad_cam",)


class World:
    """A dataset that changes between audits, and a list of the pictures that were read."""

    def __init__(self, folder: Path, benchmark: Path, bundle: Path) -> None:
        self.folder, self.bundle = folder, bundle
        shutil.copytree(benchmark, folder / "data")
        self.read: list[str] = []

    @property
    def pictures(self) -> list[Path]:
        return sorted((self.folder / "data/images/test").glob("*.png"))

    def audit(
        self,
        name: str,
        *,
        reuse: RunFolder | None = None,
        methods: tuple[str, ...] = METHODS,
        shard_size: int = 24,
        limit: int | None = None,
        data: Path | None = None,
        replace: bool = False,
        killed: bool = False,
        donors: RunFolder | None = None,
    ) -> tuple[RunFolder, list[ShardResult]]:
        """A run, and the results of its shards; killed: before the first of them."""
        pictures = DataSettings(
            path=str(data or self.folder / "data/images/test"),
            masks=None if data else str(self.folder / "data/masks/test"),
            limit=limit,
        )
        model = ModelSettings(address=str(self.bundle))
        attribution = AttributionSettings(methods=methods, shard_size=shard_size)
        output = OutputSettings(
            run=str(self.folder / name),
            reuse=None if reuse is None else str(reuse.path),
            replace=replace,
        )
        request = AuditRequest(
            pictures, attribution, InterventionSettings(donors=donors and str(donors.path))
        )
        run = prepare_run(request, FetchedModel(model), output, {"model": model.model_dump()})
        self.read.clear()
        if killed:
            return run, []
        job = dataclasses.replace(job_of(run, ComputeSettings(workers=1)), decode_threads=1)
        classifier = load_classifier(model)
        return run, [attribute_shard(job, shard, classifier) for shard in range(count_shards(run))]


@pytest.fixture
def world(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    world = World(tmp_path, benchmark_folder, bundle)

    def count_read(row: Row, *how: object, measures: bool) -> object:
        world.read.append(Path(row.image).name)
        return read_sample(row, *how, measures=measures)  # type: ignore[arg-type]

    monkeypatch.setattr(tasks.pictures.samples, "read_sample", count_read)
    return world


def rows_of(run: RunFolder, stage: str) -> pa.Table:
    reader = open_run(run.path)
    parts = [reader.part(stage, shard) for shard in reader.shards]
    return pa.concat_tables(part for part in parts if part is not None).combine_chunks()


def _is_floats(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, float) for item in value)


def close(left: pa.Table, right: pa.Table) -> None:
    """Equal except for the last digits, which depend on the other images of a batch."""
    assert left["row_id"].to_pylist() == right["row_id"].to_pylist()
    for mine, other in zip(left.to_pylist(), right.to_pylist(), strict=True):
        for name, value in mine.items():
            number = isinstance(value, float) or _is_floats(value)
            expected = pytest.approx(other[name], rel=2e-3, abs=2e-3) if number else other[name]
            assert value == expected, name


def test_new_rows_are_computed_and_old_ones_reused_in_the_order_of_the_catalog(
    world: World,
) -> None:
    added = [world.pictures[index] for index in (0, 17, 40, 63)]
    for picture in added:
        shutil.move(picture, world.folder / picture.name)
    before, _ = world.audit("before")
    for picture in added:
        shutil.move(world.folder / picture.name, picture)
    run, done = world.audit("run", reuse=before)
    assert sorted(world.read) == sorted(picture.name for picture in added)
    assert sum(shard.computed for shard in done) == 4
    assert sum(shard.reused for shard in done) == 60
    fresh, _ = world.audit("fresh", donors=run)
    for stage in STAGES:
        close(rows_of(run, stage), rows_of(fresh, stage))
        assert rows_of(run, stage).schema.equals(rows_of(fresh, stage).schema)


def test_changed_pictures_masks_and_labels_are_computed_again(world: World) -> None:
    before, _ = world.audit("before")
    shutil.copy(world.pictures[3], world.pictures[5])
    masks = world.folder / "data/masks/test"
    shutil.copy(masks / world.pictures[8].name, masks / world.pictures[9].name)
    _, done = world.audit("run", reuse=before)
    assert sorted(world.read) == [world.pictures[5].name, world.pictures[9].name]
    assert sum(shard.reused for shard in done) == 62


def test_a_touched_file_is_hashed_and_not_computed(world: World) -> None:
    before, _ = world.audit("before")
    for picture in world.pictures:
        os.utime(picture, (1, 1))
    _, done = world.audit("run", reuse=before)
    assert world.read == []
    assert sum(shard.reused for shard in done) == 64


def test_another_shard_size_takes_the_same_rows(world: World) -> None:
    before, _ = world.audit("before")
    run, _ = world.audit("run", reuse=before, shard_size=10)
    assert world.read == []
    for stage in STAGES:
        assert rows_of(run, stage).to_pylist() == rows_of(before, stage).to_pylist()


def test_one_more_method_computes_that_method_for_all(world: World) -> None:
    before, _ = world.audit("before")
    run, _ = world.audit("run", reuse=before, methods=("grad_cam", "layer_cam"))
    assert len(world.read) == 64
    for stage in STAGES:
        assert rows_of(run, stage).to_pylist() == rows_of(before, stage).to_pylist()
    assert len(rows_of(run, "maps/layer_cam")) == 64


def test_permanent_failures_are_reused_and_transient_ones_tried_again(world: World) -> None:
    broken, away = world.pictures[2], world.pictures[4]
    broken.write_bytes(b"no picture")
    content = away.read_bytes()
    before, _ = world.audit("before", limit=10)
    away.unlink()
    away.symlink_to(world.folder / "not there")
    before, _ = world.audit("before2", limit=10)
    away.unlink()
    away.write_bytes(content)
    run, done = world.audit("run", reuse=before, limit=10)
    assert world.read == [away.name]
    (failure,) = rows_of(run, "failures/predictions").to_pylist()
    assert failure["row_id"] == broken.name
    assert [(shard.computed, shard.reused, shard.failed) for shard in done] == [(1, 8, 1)]


def test_a_run_that_was_stopped_gives_what_it_has(world: World) -> None:
    before, _ = world.audit("before")
    before.part("maps/grad_cam", 1).unlink()
    _, done = world.audit("run", reuse=before)
    assert sum(shard.computed for shard in done) == 24


def test_a_folder_that_is_not_another_run_is_refused(world: World) -> None:
    run, _ = world.audit("before")
    with pytest.raises(UserError, match="is the run itself"):
        world.audit("before", reuse=run)
    with pytest.raises(ValueError, match="is not a run folder"):
        world.audit("run", reuse=RunFolder(run.path / "maps"))


def test_a_previous_run_that_was_continued_and_killed_gives_no_old_rows(world: World) -> None:
    """Its catalog has the new picture, its parts still have the old one."""
    before, _ = world.audit("before")
    shutil.copy(world.pictures[3], world.pictures[5])
    world.audit("before", killed=True)
    run, _ = world.audit("run", reuse=before)
    fresh, _ = world.audit("fresh")
    for name in ("row_id", "content_id"):
        found = rows_of(run, "predictions")[name].to_pylist()
        assert found == rows_of(fresh, "predictions")[name].to_pylist()


def test_other_labels_are_other_rows(world: World) -> None:
    table = world.folder / "table.csv"
    for name, label in (("before", "fish"), ("run", "cactus")):
        lines = [
            f"{path},{label if path.name == '00003.png' else 'fish'}" for path in world.pictures
        ]
        table.write_text("file_name,label\n" + "\n".join(lines) + "\n")
        before = None if name == "before" else RunFolder.at(world.folder / "before")
        run, _ = world.audit(name, reuse=before, data=table)
    assert [Path(name).name for name in world.read] == ["00003.png"]
    assert "cactus" in rows_of(run, "predictions")["label"].to_pylist()


def test_stamps_without_size_or_time_are_not_trusted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a web server that reports neither sizes nor times."""
    monkeypatch.setattr(
        tasks.catalog.catalog, "read_stamps", lambda addresses: ["unknown"] * len(addresses)
    )
    before, _ = world.audit("before")
    shutil.copy(world.pictures[3], world.pictures[5])
    _, done = world.audit("run", reuse=before)
    assert world.read == [world.pictures[5].name]
    assert sum(shard.reused for shard in done) == 63


def test_a_wrong_previous_run_is_refused_before_anything_is_deleted(world: World) -> None:
    run, _ = world.audit("run")
    kept = sorted(run.path.rglob("*.parquet"))
    with pytest.raises(ValueError, match="is not a run folder"):
        world.audit("run", reuse=RunFolder(run.path / "maps"), shard_size=7, replace=True)
    assert sorted(run.path.rglob("*.parquet")) == kept


def test_a_run_continues_when_the_previous_one_is_gone(world: World) -> None:
    before, _ = world.audit("before")
    world.audit("run", reuse=before, killed=True)
    shutil.rmtree(before.path)
    _, done = world.audit("run")
    assert sum(shard.computed for shard in done) == 64
