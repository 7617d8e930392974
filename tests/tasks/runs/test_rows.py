"""Single rows of a run are those that its whole tables have."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows, UnknownRow
from tasks.runs.stages import FAILED_PREDICTIONS, INTERVENTIONS, MAPS, PREDICTIONS, Stage
from tests.support.audits import SHARD


@pytest.fixture(scope="module")
def rows(finished_run: RunFolder) -> RunRows:
    return RunRows(open_run(finished_run.path))


def test_every_row_is_found_in_its_shard(rows: RunRows, finished_run: RunFolder) -> None:
    catalog = pq.read_table(finished_run.catalog).to_pylist()
    for number, row in enumerate(catalog):
        assert rows.number(row["row_id"]) == number
        assert rows.shard_of(number) == number // SHARD
        assert rows.catalog_row(row["row_id"]).to_pylist() == [row]


@pytest.mark.parametrize("stage", [PREDICTIONS, INTERVENTIONS])
def test_rows_of_parts_are_those_of_the_whole_table(
    rows: RunRows, finished_run: RunFolder, stage: Stage
) -> None:
    whole = pq.read_table(finished_run.path / stage.name).to_pylist()
    by_row = {row["row_id"]: row for row in whole}
    assert by_row
    for row_id in rows.row_ids.to_pylist():
        part = rows.part_row(stage, row_id)
        assert (None if part is None else part.to_pylist()[0]) == by_row.get(row_id)


def test_flags_are_those_of_the_table(rows: RunRows, finished_run: RunFolder) -> None:
    for flag in pq.read_table(finished_run.flags).to_pylist():
        found = rows.flag_row(flag["row_id"])
        assert found is not None
        assert found.to_pylist() == [flag]


def test_flags_are_found_whatever_their_row_groups(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    flags = pq.read_table(run.flags)
    pq.write_table(flags, run.flags, row_group_size=7)
    rows = RunRows(open_run(run.path))
    for flag in flags.to_pylist():
        found = rows.flag_row(flag["row_id"])
        assert found is not None
        assert found.to_pylist() == [flag]


def test_maps_are_those_that_a_run_gives(rows: RunRows) -> None:
    row_ids = rows.row_ids.to_pylist()
    expected = rows.run.maps(row_ids, "grad_cam_pp")
    assert len(expected) == len(row_ids)
    for row_id in row_ids:
        found_hw = rows.map_of(row_id, "grad_cam_pp")
        assert found_hw is not None
        np.testing.assert_array_equal(found_hw, expected[row_id])
    assert rows.map_of(row_ids[0], "no_method") is None


def test_an_image_whose_map_is_absent_has_none(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    part = run.part(MAPS.of("grad_cam_pp"), 1)
    table = pq.read_table(part)
    pq.write_table(table.slice(1), part)
    rows = RunRows(open_run(run.path))
    gone, there = table["row_id"][0].as_py(), table["row_id"][1].as_py()
    assert not rows.has_map(gone, "grad_cam_pp")
    assert rows.map_of(gone, "grad_cam_pp") is None
    np.testing.assert_array_equal(
        rows.map_of(there, "grad_cam_pp"), rows.run.maps([there], "grad_cam_pp")[there]
    )


def test_failures_of_a_row_are_found(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    row_id = RunRows(open_run(run.path)).row_ids[SHARD + 1].as_py()
    failure = {
        "row_id": row_id,
        "stage": "read",
        "kind": "permanent",
        "message": "image a.jpg cannot be read (it is empty)",
        "remedy": "drop the row",
    }
    path = run.part(FAILED_PREDICTIONS, 1)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([failure], schema=FAILED_PREDICTIONS.columns), path)
    rows = RunRows(open_run(run.path))
    assert rows.failures(row_id) == [failure]
    assert rows.failures(rows.row_ids[0].as_py()) == []


def test_an_unknown_row_is_refused(rows: RunRows) -> None:
    with pytest.raises(UnknownRow, match="has no row nobody: take row ids from"):
        rows.catalog_row("nobody")
