"""What makes a part: each field changes the fingerprints that it should, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.cluster import ComputeSettings
from tasks.drive import job_of
from tasks.read import rows_of
from tasks.shard import AttributionSettings, Job, count_shards, marks_of, read_shard
from tasks.store import Mark, RunFolder

ALL = {"predictions", "features", "maps/grad_cam", "scores/grad_cam"}


@pytest.fixture
def job(finished_run: RunFolder) -> Job:
    job = job_of(finished_run, ComputeSettings())
    return replace(job, attribution=AttributionSettings(methods=("grad_cam",)))


def marks(job: Job, shard: int) -> dict[str, Mark]:
    return marks_of(job, read_shard(job.run, shard))


def test_shards_cover_the_catalog_in_order(finished_run: RunFolder) -> None:
    rows = [
        row.row_id
        for shard in range(count_shards(finished_run))
        for row in rows_of(read_shard(finished_run, shard))
    ]
    assert len(rows) == 64
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("field", "value", "changed"),
    [
        ("model", "another", ALL),
        ("classes", "another", ALL),
        ("preprocessing", {"crop": [32, 32]}, ALL),
        ("numeric", {"dtype": "float32", "memory_format": "contiguous"}, ALL),
        ("layer", "stage2", ALL - {"predictions"}),
        ("target", "label", {"maps/grad_cam", "scores/grad_cam"}),
        ("orientation", "stored", ALL),
        ("polarity", "background", {"features", "scores/grad_cam"}),
    ],
)
def test_a_field_changes_the_parts_that_it_makes(
    job: Job, field: str, value: Any, changed: set[str]
) -> None:
    other = replace(job, identity=job.identity | {field: value})
    before, after = marks(job, 0), marks(other, 0)
    assert {stage for stage in before if before[stage] != after[stage]} == changed


def test_shards_have_fingerprints_of_their_own(job: Job) -> None:
    first, second = marks(job, 0), marks(job, 1)
    for stage, mark in first.items():
        assert mark.fingerprint != second[stage].fingerprint
        assert mark.specification == second[stage].specification


def test_where_the_work_is_done_is_no_part_of_it(job: Job) -> None:
    other = replace(job, batch_size=3, decode_threads=7)
    assert marks(job, 0) == marks(other, 0)


def test_more_methods_leave_the_others_as_they_are(job: Job) -> None:
    more = replace(job, attribution=AttributionSettings(methods=("grad_cam", "layer_cam")))
    assert marks(job, 0).items() <= marks(more, 0).items()
