"""A run can be read: by our reader, and without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.classifier.settings import ModelSettings
from models.errors import RunFolderError, UserError
from tasks.catalog.settings import DataSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import enlarge
from tests.support.audits import run_audit


def test_predictions_and_scores_are_one_table(finished_run: RunFolder) -> None:
    table = open_run(finished_run.path).table("grad_cam_pp")
    assert len(table) == 64
    assert {"row_id", "group", "label", "prediction", "lift", "pointing"} <= set(table.column_names)
    scores = pq.read_table(finished_run.part("scores/grad_cam_pp", 1))
    assert table["lift"].to_pylist()[40:] == scores["lift"].to_pylist()


def test_flags_and_their_scores_stand_beside_the_predictions(finished_run: RunFolder) -> None:
    table = open_run(finished_run.path).table()
    flags = pq.read_table(finished_run.flags).to_pylist()
    expected = {row["row_id"]: (row["flag"], row["score"], row["reason"]) for row in flags}
    found = table.select(["row_id", "flag", "score", "reason"]).to_pylist()
    assert {row["row_id"]: (row["flag"], row["score"], row["reason"]) for row in found} == expected
    assert len(expected) == 64


def test_a_run_without_flags_is_a_table_all_the_same(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished_run.path, tmp_path / "run"))
    (run / "flags.parquet").unlink()
    columns = open_run(run).table("grad_cam_pp").column_names
    assert "flag" not in columns
    assert "prediction" in columns


def test_an_unknown_row_names_the_nearest(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    with pytest.raises(UserError, match=r"no row 'images/test/0050.png' \(did you mean 'images/te"):
        run.maps(["images/test/00050.png", "images/test/0050.png"], "layer_cam")
    with pytest.raises(UserError, match="no row 'nobody' and 1 more: take row ids from"):
        run.maps(["nobody", "somebody"], "layer_cam")


def test_maps_are_by_row_scaled_and_enlarged(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    row_ids = ["images/test/00050.png", "images/test/00002.png"]
    native = run.maps(row_ids, "layer_cam")
    large = run.maps(row_ids, "layer_cam", size=(64, 64))
    assert set(native) == set(row_ids)
    for row_id in row_ids:
        assert native[row_id].shape == (8, 8)
        assert large[row_id].shape == (64, 64)
        assert large[row_id].max() <= native[row_id].max() * 1.0001


def test_an_even_map_stays_even_when_enlarged() -> None:
    np.testing.assert_allclose(enlarge(np.full((7, 7), 2.0, np.float32), (20, 30)), 2.0, rtol=1e-6)


def test_duckdb_and_pandas_read_the_parts_without_us(finished_run: RunFolder) -> None:
    maps = str(finished_run.path / "maps/grad_cam/*.parquet")
    scores = str(finished_run.path / "scores/grad_cam/*.parquet")
    found = duckdb.sql(
        f"select count(*), max(len(map)), avg(lift) from '{maps}' join '{scores}' using (row_id)"
    ).fetchall()
    lifts = open_run(finished_run.path).table("grad_cam")["lift"].to_numpy()
    assert found == [(64, 64, pytest.approx(lifts.mean()))]
    features = str(finished_run.path / "features/*.parquet")
    assert duckdb.sql(f"select count(object) from '{features}'").fetchall() == [(64,)]
    frame = pd.read_parquet(finished_run.path / "predictions")
    assert len(frame) == 64


def test_a_missing_method_or_run_is_named(finished_run: RunFolder, tmp_path: Path) -> None:
    run = open_run(finished_run.path)
    with pytest.raises(UserError, match=r"has no maps of 'gradcam' \(did you mean 'grad_cam"):
        run.maps(["a"], "gradcam")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        open_run(tmp_path)


def test_an_unfinished_run_says_how_to_continue(finished_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(finished_run.state.read_text())
    with pytest.raises(UserError, match="run the same command again, it continues"):
        open_run(tmp_path).summary()


def test_a_summary_of_another_version_says_so(finished_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(finished_run.state.read_text())
    (tmp_path / "summary.json").write_text('{"schema_version": 0}')
    with pytest.raises(UserError, match="written by another version of Sightline"):
        open_run(tmp_path).summary()


def test_columns_of_the_user_with_our_names_keep_apart(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    lines = ["file_name,label,mask,area,lift"]
    lines += [f"images/test/{i:05d}.png,fish,masks/test/{i:05d}.png,{i},x" for i in range(4)]
    table = shutil.copytree(benchmark_folder, tmp_path / "data") / "own.csv"
    table.write_text("\n".join(lines))
    model = ModelSettings(address=str(bundle))
    run = run_audit(tmp_path / "run", DataSettings(path=str(table)), model)
    columns = open_run(run.path).table("grad_cam")
    assert columns["catalog.area"].to_pylist() == [0, 1, 2, 3]
    assert columns["area"].type == pa.float32()


def test_a_run_without_a_prediction_says_so(finished_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(finished_run.state.read_text())
    shutil.copy(finished_run.catalog, tmp_path)
    with pytest.raises(UserError, match="has no predictions yet"):
        open_run(tmp_path).table()
