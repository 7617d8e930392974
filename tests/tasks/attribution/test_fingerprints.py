"""What determines a part: each field changes the fingerprints that it should, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.classifier.preprocessing import Preprocessing
from tasks.attribution.fingerprints import marks_of, specifications
from tasks.attribution.job import Job, count_shards, read_shard
from tasks.attribution.settings import AttributionSettings
from tasks.execution.attribution_stage import job_of
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import rows_of
from tasks.runs.folder import Mark, RunFolder

ALL = {"predictions", "features", "maps/grad_cam", "scores/grad_cam", "interventions"}


@pytest.fixture
def job(finished_run: RunFolder) -> Job:
    job = job_of(finished_run, ComputeSettings())
    return replace(job, attribution=AttributionSettings(methods=("grad_cam",)))


def marks(job: Job, shard: int) -> dict[str, Mark]:
    return {
        stage.folder: m
        for stage, m in marks_of(specifications(job), read_shard(job.run, shard)).items()
    }


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
        ("preprocessing", Preprocessing(crop=(32, 32)), ALL),
        ("numeric", {"dtype": "float32", "memory_format": "contiguous"}, ALL),
        ("layer", "stage2", ALL - {"predictions", "interventions"}),
        ("target", "label", {"maps/grad_cam", "scores/grad_cam"}),
        ("orientation", "stored", ALL),
        ("polarity", "background", {"features", "scores/grad_cam", "interventions"}),
    ],
)
def test_a_field_changes_the_parts_that_depend_on_it(
    job: Job, field: str, value: Any, changed: set[str]
) -> None:
    other = replace(job, identity=job.identity.model_copy(update={field: value}))
    before, after = marks(job, 0), marks(other, 0)
    assert {stage for stage in before if before[stage] != after[stage]} == changed


def test_an_estimator_changes_what_needs_a_foreground_and_evaluates_estimates(job: Job) -> None:
    one, other = (
        marks(replace(job, identity=job.identity.model_copy(update={"estimator": name})), 0)
        for name in "ab"
    )
    changed = {"features", "scores/grad_cam", "interventions", "foregrounds"}
    changed |= {"estimated/scores/grad_cam", "estimated/interventions"}
    assert {stage for stage in one if one[stage] != other[stage]} == changed
    assert one.keys() == ALL | changed


def test_donors_and_their_settings_change_the_parts_made_with_them(job: Job) -> None:
    settings = InterventionSettings(others=1)
    for other, changed in (
        (replace(job, donors="another"), {"interventions", "scores/grad_cam"}),
        (replace(job, interventions=settings), {"interventions"}),
        (replace(job, interventions=InterventionSettings(pool=8)), set()),
    ):
        before, after = marks(job, 0), marks(other, 0)
        assert {stage for stage in before if before[stage] != after[stage]} == changed
    assert marks(replace(job, donors=None), 0).keys() == ALL - {"interventions"}


def test_patterns_add_parts_of_their_method_and_change_none(job: Job) -> None:
    methods = AttributionSettings(methods=("grad_cam", "layer_cam"))
    job = replace(job, attribution=methods)
    one = marks(replace(job, patterns_method="grad_cam"), 0)
    other = marks(replace(job, patterns_method="layer_cam"), 0)
    both = marks(job, 0).items() | {("picture_properties", one["picture_properties"])}
    more, another = (dict(found.items() - both) for found in (one, other))
    assert more.keys() == {"attended_background/grad_cam"}
    assert another.keys() == {"attended_background/layer_cam"}
    assert {*more.values()}.isdisjoint(another.values())
    assert both <= one.items()


@pytest.mark.parametrize(
    ("field", "value", "changed"),
    [
        ("model", "another", {"attended_background/grad_cam"}),
        ("polarity", "background", {"attended_background/grad_cam"}),
        ("layer", "stage2", {"attended_background/grad_cam"}),
        ("orientation", "stored", {"attended_background/grad_cam", "picture_properties"}),
        ("preprocessing", Preprocessing(crop=(32, 32)), {"picture_properties"}),
    ],
)
def test_a_field_changes_the_parts_of_patterns_that_depend_on_it(
    job: Job, field: str, value: Any, changed: set[str]
) -> None:
    job = replace(job, patterns_method="grad_cam")
    other = replace(job, identity=job.identity.model_copy(update={field: value}))
    before, after = marks(job, 0), marks(other, 0)
    assert changed <= {stage for stage in before if before[stage] != after[stage]}
    if field != "preprocessing":
        assert ("picture_properties" in changed) == (
            before["picture_properties"] != after["picture_properties"]
        )


def test_shards_have_fingerprints_of_their_own(job: Job) -> None:
    first, second = marks(job, 0), marks(job, 1)
    for stage, mark in first.items():
        assert mark.fingerprint != second[stage].fingerprint
        assert mark.specification == second[stage].specification


def test_where_the_work_is_done_does_not_matter(job: Job) -> None:
    other = replace(job, batch_size=3, decode_threads=7)
    assert marks(job, 0) == marks(other, 0)


def test_more_methods_leave_the_others_as_they_are(job: Job) -> None:
    more = replace(job, attribution=AttributionSettings(methods=("grad_cam", "layer_cam")))
    assert marks(job, 0).items() <= marks(more, 0).items()


def test_a_users_method_is_kept_by_its_address_and_two_of_one_name_are_refused() -> None:
    own = ("grad_cam", "a/maps.py:blob", "./a/maps.py:blob")
    assert AttributionSettings(methods=own).methods == ("grad_cam", "a/maps.py:blob")
    with pytest.raises(ValueError, match=r"two methods would be called maps\.py:blob: rename one"):
        AttributionSettings(methods=("a/maps.py:blob", "b/maps.py:blob"))
