"""Every table of a run as a data frame, against the files of the run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sightline
from benchmarks.audit_in_process import attribute_in_process
from flows.notebook.data_frames import as_frame
from flows.notebook.run_tables import ROWS, TABLES
from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.settings import AttributionSettings, AuditRequest, ComparisonSettings
from tasks.catalog.settings import DataSettings
from tasks.method_comparison.summarise import summarise_methods
from tasks.query import columns as image_columns
from tasks.runs.folder import RunFolder
from tests.support.audits import run_audit

BROKEN = "images/test/00003.png"


@pytest.fixture(scope="module")
def run(finished_run: RunFolder) -> sightline.Run:
    return sightline.open_run(finished_run.path)


@pytest.fixture(scope="module")
def with_failures(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> sightline.Run:
    """Eight pictures, one of which is no picture."""
    data = tmp_path_factory.mktemp("broken") / "data"
    shutil.copytree(benchmark_folder, data)
    (data / BROKEN).write_bytes(b"no picture")
    model = ModelSettings(address=str(bundle))
    settings = DataSettings(path=str(data), split="test", limit=8)
    return sightline.open_run(run_audit(data.parent / "run", settings, model).path)


@pytest.fixture(scope="module")
def compared(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> sightline.Run:
    """Two methods, compared on eight pictures."""
    request = AuditRequest(
        DataSettings(path=str(benchmark_folder), split="test", limit=8),
        AttributionSettings(methods=("grad_cam", "full_grad")),
        comparison=ComparisonSettings(tested=8),
    )
    folder = tmp_path_factory.mktemp("compared") / "run"
    summarise_methods(*attribute_in_process(folder, ModelSettings(address=str(bundle)), request))
    return sightline.open_run(folder)


def test_images_are_a_row_each_with_types_that_can_be_missing(run: sightline.Run) -> None:
    frame = run.frame()
    assert list(frame["row_id"]) == run.catalog["row_id"].to_pylist()
    predicted = run.table().to_pandas()
    np.testing.assert_array_equal(frame["confidence"], predicted["confidence"])
    assert frame["correct"].dtype == pd.BooleanDtype()
    assert frame["correct"].tolist() == predicted["correct"].tolist()
    for column in ("label", "prediction", "flag", "foreground"):
        assert isinstance(frame[column].dtype, pd.CategoricalDtype), column
        assert frame[column].tolist() == predicted.get(column, frame[column]).tolist()
    assert frame["group"].tolist() == run.catalog["group"].to_pylist()


def test_an_image_that_failed_has_a_row_without_a_prediction(with_failures: sightline.Run) -> None:
    frame = with_failures.frame().set_index("row_id")
    assert len(frame) == 8
    assert frame.index[frame["prediction"].isna()].tolist() == [BROKEN]
    assert frame["correct"].isna()[BROKEN]
    assert frame["correct"].dtype == pd.BooleanDtype()
    assert list(frame["failed"][BROKEN]) == ["read"]
    assert len(frame[~frame["correct"]]) + len(frame[frame["correct"]]) == 7
    failures = with_failures.frame(table="failures")
    assert failures["row_id"].tolist() == [BROKEN]
    assert failures[["stage", "message", "remedy"]].notna().all(axis=None)


@pytest.mark.parametrize("name", ROWS)
def test_a_table_is_the_same_in_every_library(name: str, run: sightline.Run) -> None:
    table = run.frame("arrow", table=name)
    assert isinstance(table, pa.Table)
    pandas, polars = run.frame(table=name), run.frame("polars", table=name)
    assert isinstance(polars, pl.DataFrame)
    assert list(pandas.columns) == polars.columns == table.column_names
    assert len(pandas) == len(polars) == len(table)
    for column in table.column_names:
        expected = table[column].to_pylist()
        assert polars[column].to_list() == expected, column
        assert [_plain(value) for value in pandas[column]] == expected, column


def _plain(value: object) -> object:
    """A value of pandas as Arrow gives it to Python."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.isna(value) else value


@pytest.mark.parametrize("name", ROWS)
def test_each_column_says_what_it_means_and_can_be_read_alone(
    name: str, run: sightline.Run
) -> None:
    described = run.columns(name)
    whole = run.frame("arrow", table=name)
    assert list(described.index) == whole.column_names
    assert all(described["meaning"].str.len() > 5)
    for field in whole.schema:
        words = field.metadata[b"description"].decode()
        assert words == described["meaning"][field.name]
    for column in (whole.column_names[0], whole.column_names[-1]):
        alone = run.frame("arrow", table=name, columns=[column])
        assert alone.column_names == [column]
        assert alone[column].to_pylist() == whole[column].to_pylist()


def test_columns_of_images_mean_the_same_everywhere(run: sightline.Run) -> None:
    images = run.columns()["meaning"]
    assert {name: images[name] for name in image_columns.WORDS if name in images.index} == {
        name: words for name, words in image_columns.WORDS.items() if name in images.index
    }
    assert run.columns("scores")["meaning"]["lift"] == image_columns.WORDS["lift"]


def test_every_column_that_a_stage_stores_is_in_its_table() -> None:
    stored = {
        "scores": schema.SCORES,
        "faithfulness": schema.MERITS,
        "sanity": schema.TRIALS,
        "features": schema.FEATURES,
        "failures": schema.FAILURES,
        "patterns": schema.PATTERNS,
        "pattern_members": schema.PATTERN_MEMBERS,
    }
    for name, columns in stored.items():
        assert [it for it in TABLES[name].schema.names if it != "method"] == columns.names


def test_interventions_are_a_row_for_each_changed_picture(
    run: sightline.Run, finished_run: RunFolder
) -> None:
    labels = dict(
        zip(run.catalog["row_id"].to_pylist(), run.catalog["label"].to_pylist(), strict=True)
    )
    expected = []
    for shard in run.shards:
        for row in pq.read_table(finished_run.part("interventions", shard)).to_pylist():
            for kind in ("object_removed", "background_removed"):
                said = (row[f"{kind}_prediction"], row[kind])
                expected.append((row["row_id"], kind, 0, *said, None, None, None, None))
            for slot, donor in enumerate(row["donors"]):
                said = (row["exchanged_predictions"][slot], row["exchanged"][slot])
                known = (labels[donor], row["same_class"][slot])
                expected.append((row["row_id"], "exchanged", slot, *said, donor, *known, None))
            for slot, way in enumerate(row["moved_ways"]):
                said = (row["moved_predictions"][slot], row["moved"][slot])
                expected.append((row["row_id"], "moved", slot, *said, None, None, None, way))
    found = run.frame("arrow", table="interventions").to_pylist()
    assert [tuple(row.values()) for row in found] == expected
    assert len(expected) > 4 * 64


def test_maps_are_lists_in_their_own_units(run: sightline.Run) -> None:
    frame = run.frame(table="maps", method="layer_cam")
    maps = run.maps(frame["row_id"].tolist(), "layer_cam")
    assert len(frame) == len(maps) == 64
    for row in frame.itertuples():
        np.testing.assert_array_equal(
            np.reshape(row.map, (row.height, row.width)), maps[row.row_id]
        )


def test_methods_are_rows(run: sightline.Run, finished_run: RunFolder) -> None:
    scores = run.frame("arrow", table="scores")
    assert scores["method"].to_pylist() == [name for name in run.methods for _ in range(64)]
    stored = pq.read_table(finished_run.path / "scores/grad_cam")["lift"].to_pylist()
    assert run.frame("arrow", table="scores", method="grad_cam")["lift"].to_pylist() == stored


def test_groups_and_figures_are_those_of_the_summary(run: sightline.Run) -> None:
    summary = run.summary()
    groups = run.frame(table="groups")
    for by, expected in (("prediction", summary.by_prediction), *summary.by_column.items()):
        found = groups[groups["by"] == by]
        assert found["group"].tolist() == [group.name for group in expected]
        flagged = [group.flagged.value for group in expected]
        np.testing.assert_array_equal(found["flagged"], np.array(flagged, float))
        assert found["decided"].tolist() == [group.flagged.of for group in expected]
    figures = run.frame(table="figures").set_index("figure")
    assert figures["value"].to_dict() == {name: it.value for name, it in summary.by_name().items()}
    assert figures["high"]["accuracy"] == summary.accuracy.high


def test_a_comparison_of_methods_has_tables_of_its_own(compared: sightline.Run) -> None:
    frame = compared.frame(table="faithfulness")
    assert frame.groupby("method", observed=True).size().to_dict() == {
        "full_grad": 8,
        "grad_cam": 8,
    }
    sanity = compared.frame(table="sanity")
    assert set(sanity["row_id"]) == set(frame["row_id"])
    assert sanity["head"].notna().all()
    assert "flag" not in compared.frame().columns
    with pytest.raises(sightline.UserError, match="has no flags"):
        compared.flagged()


def test_flagged_images_are_sorted_and_of_one_class(run: sightline.Run) -> None:
    frame = run.frame()
    expected = frame[frame["flag"] == "rests_on_background"]
    expected = expected.sort_values("score", ascending=False, kind="stable")
    assert len(expected)
    pd.testing.assert_frame_equal(run.flagged(), expected.reset_index(drop=True))
    label, prediction = expected.iloc[0][["label", "prediction"]]
    found = run.flagged(label=label, prediction=prediction, columns=["row_id"])
    of_both = (expected["label"] == label) & (expected["prediction"] == prediction)
    assert found.to_dict("list") == {"row_id": expected[of_both]["row_id"].tolist()}
    assert run.flagged(label=label, kind="polars")["label"].unique().to_list() == [label]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"kind": "panda"}, r"'panda' is no kind of frame \(did you mean 'pandas'\?\)"),
        ({"table": "intervention"}, r"no table 'intervention' \(did you mean 'interventions'\?\)"),
        ({"columns": ["scores"]}, r"no column 'scores' \(did you mean 'score'\?\); it has row_id"),
        ({"table": "scores", "columns": ["lifts"]}, r"no column 'lifts' \(did you mean 'lift'\?\)"),
        ({"columns": []}, "columns is .*: give a list of names"),
        ({"columns": "score"}, "columns is 'score': give a list of names"),
        ({"method": "grad_cam"}, "'images' has no rows by method: leave out method='grad_cam'"),
        ({"table": "groups", "method": "grad_cam"}, "or take one of the tables scores, maps"),
        ({"table": "maps", "method": "gradcam"}, r"no maps of 'gradcam' \(did you mean 'grad_cam"),
    ],
)
def test_a_mistake_is_one_line_that_names_what_there_is(
    asked: dict[str, object], message: str, run: sightline.Run
) -> None:
    with pytest.raises(sightline.UserError, match=message) as raised:
        run.frame(**asked)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_an_unknown_class_names_the_nearest(run: sightline.Run) -> None:
    with pytest.raises(sightline.UserError, match=r"label='fsh' is no class .*mean 'fish'"):
        run.flagged(label="fsh")


def test_flagged_images_have_the_columns_of_another_frame(run: sightline.Run) -> None:
    columns = run.frame().columns[:3]  # an index of pandas, whose truth is refused
    assert run.flagged(columns=columns).columns.tolist() == columns.tolist()
    assert run.flagged(kind="polars", columns=["row_id", "row_id"]).columns == ["row_id"]


@pytest.mark.parametrize("columns", ["score", []])
def test_flagged_images_have_columns_of_a_list_of_names(
    columns: Sequence[str], run: sightline.Run
) -> None:
    with pytest.raises(sightline.UserError, match=r"columns is .*: give a list of names"):
        run.flagged(columns=columns)


@pytest.mark.parametrize("signed", ["", "u"])
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_whole_numbers_stay_whole_beside_a_missing_one(signed: str, bits: int) -> None:
    largest = 2 ** (bits - (not signed)) - 1
    numbers = pa.array([largest, None], getattr(pa, f"{signed}int{bits}")())
    frame = as_frame(pa.table({"number": numbers}), "pandas")
    assert frame["number"][0] == largest
    assert frame["number"].isna().tolist() == [False, True]


def test_without_polars_it_says_how_to_install_it(
    run: sightline.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(sightline.UserError, match=r"pip install 'sightline\[polars\]'"):
        run.frame("polars")


def test_descriptions_are_not_cut_off(run: sightline.Run) -> None:
    described = run.columns()
    longest = max(described["meaning"], key=len)
    assert len(longest) > pd.get_option("display.max_colwidth")
    assert longest in repr(described)
    assert longest in described._repr_html_().replace("&lt;", "<")
    for name, row in ROWS.items():
        assert run.tables()["one row is"][name] == row
        assert row in repr(run.tables())


def test_an_unfinished_run_is_read_as_far_as_it_is(finished_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(finished_run.state.read_text())
    shutil.copy(finished_run.catalog, tmp_path)
    run = sightline.open_run(tmp_path)
    assert run.frame()["row_id"].tolist() == run.catalog["row_id"].to_pylist()
    assert run.frame(table="interventions").empty
    assert "Not finished" in run._repr_html_()
    with pytest.raises(sightline.UserError, match="run the same command again, it continues"):
        run.frame(table="figures")
    with pytest.raises(sightline.UserError, match=r"no prediction \(the run is not finished"):
        run.show(run.catalog["row_id"][0].as_py())
