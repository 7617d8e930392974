"""Real audits of networks that rest on something by their weights, and of ones that do not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.discover.discover import find_patterns
from tasks.execution.settings import ComputeSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import ATTENDED_BACKGROUND
from tasks.schema import Pattern, PatternSummary
from tasks.storage.parquet import read_footer, read_table
from tests.support.tagged_audits import SHARD_SIZE, audit
from tests.support.tagged_pictures import write_tagged_pictures

IMAGES = 300
HERE = ComputeSettings(workers=0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    return write_tagged_pictures(tmp_path_factory.mktemp("tagged"), IMAGES)


def find(run: RunFolder, folder: Path) -> PatternSummary:
    found = find_patterns(run, HERE, str(folder / "dask"), lambda *_: None)
    assert found is not None
    return found


def the_confirmed(found: PatternSummary) -> Pattern:
    (pattern,) = found.confirmed
    return pattern


def test_a_tag_is_found_with_its_class_and_its_images(
    pictures: tuple[Path, set[str]], tmp_path: Path
) -> None:
    table, tagged = pictures
    run = audit(tmp_path / "run", table, "rests_on_tags")
    pattern = the_confirmed(find(run, tmp_path))
    assert pattern.pulls_to == "red"
    assert pattern.effect is not None
    assert pattern.effect.low > 0.5
    assert "become red on such backgrounds" in pattern.sentence
    members = read_table(run.pattern_members)
    of_it = members.filter(pa.compute.equal(members["pattern"], pattern.id))
    names = {row_id.rpartition("/")[2] for row_id in of_it["row_id"].to_pylist()}
    assert len(names & tagged) / len(names | tagged) > 0.9
    assert of_it.num_rows == pattern.images
    assert read_footer(run.pattern_members).num_row_groups == -(-IMAGES // SHARD_SIZE)


def test_a_shard_without_any_map_is_no_obstacle(
    pictures: tuple[Path, set[str]], tmp_path: Path
) -> None:
    run = audit(tmp_path / "run", pictures[0], "rests_on_tags")
    method = open_run(run.path).summary().rule.method
    *_, last = run.parts(ATTENDED_BACKGROUND.of(method))
    last.unlink()
    assert the_confirmed(find(run, tmp_path)).pulls_to == "red"


def test_a_network_that_rests_on_objects_has_none(
    pictures: tuple[Path, set[str]], tmp_path: Path
) -> None:
    run = audit(tmp_path / "run", pictures[0], "rests_on_objects")
    found = find(run, tmp_path)
    assert found.confirmed == ()
    assert sum(found.halves) == IMAGES


def test_without_any_foreground_the_region_alone_is_exchanged(
    pictures: tuple[Path, set[str]], tmp_path: Path
) -> None:
    run = audit(tmp_path / "run", pictures[0], "rests_on_tags", masks=False)
    pattern = the_confirmed(find(run, tmp_path))
    assert pattern.exchanged == "region"
    assert pattern.pulls_to == "red"
    rows, columns = pattern.grid
    assert all(row >= rows / 2 and column < columns / 2 for row, column in pattern.region)


def test_a_second_time_nothing_is_predicted_again(
    pictures: tuple[Path, set[str]], tmp_path: Path
) -> None:
    run = audit(tmp_path / "run", pictures[0], "rests_on_tags")
    first = find(run, tmp_path)
    parts = {path: path.stat().st_mtime_ns for path in run.parts("pattern_trials")}
    assert find(run, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in run.parts("pattern_trials")} == parts
