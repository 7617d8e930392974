"""summary.json equals what a reader would compute from the tables with pandas."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tasks import schema
from tasks.runs import open_run
from tasks.runs.folder import RunFolder


@pytest.fixture(scope="module")
def summary(finished_run: RunFolder) -> schema.Summary:
    return open_run(finished_run.path).summary()


@pytest.fixture(scope="module")
def frame(finished_run: RunFolder) -> pd.DataFrame:
    rows: pd.DataFrame = open_run(finished_run.path).table("grad_cam_pp").to_pandas()
    return rows


def test_the_headline_is_the_tables(summary: schema.Summary, frame: pd.DataFrame) -> None:
    assert summary.accuracy.value == pytest.approx(frame["correct"].astype(bool).mean())
    assert summary.flagged.count == (frame["flag"] == "rests_on_background").sum()
    assert summary.flagged.of == (frame["flag"] != "undecided").sum()
    assert sum(rate.count for rate in summary.flags.values()) == summary.images.predicted == 64
    wrong = frame[~frame["correct"].astype(bool)]
    assert summary.flagged_incorrect.count == (wrong["flag"] == "rests_on_background").sum()


def test_classes_are_counted_by_label_and_by_prediction(
    summary: schema.Summary, frame: pd.DataFrame
) -> None:
    for rows, column in ((summary.by_label, "label"), (summary.by_prediction, "prediction")):
        assert [row.name for row in rows] == sorted(frame[column].unique())
        for row in rows:
            own = frame[frame[column] == row.name]
            assert row.accuracy.of == len(own)
            assert row.accuracy.count == own["correct"].astype(bool).sum()
            assert row.flagged.count == (own["flag"] == "rests_on_background").sum()


def test_methods_are_averaged(summary: schema.Summary, frame: pd.DataFrame) -> None:
    method = next(row for row in summary.methods if row.method == "grad_cam_pp")
    lifts = frame["lift"].dropna()
    assert method.maps == 64
    assert method.mean_lift == pytest.approx(lifts.mean(), rel=1e-5)
    half = 1.959964 * lifts.sem()
    assert method.mean_lift_high == pytest.approx(lifts.mean() + half, rel=1e-4)
    assert sum(method.lift.counts) == len(lifts)
    assert len(method.lift.edges) == len(method.lift.counts) + 1


def test_the_file_is_plain_json(finished_run: RunFolder) -> None:
    values = json.loads(finished_run.summary.read_text())
    assert values["schema_version"] == schema.VERSION
    assert values["foreground"] == {
        "source": "annotated",
        "polarity": "foreground",
        "mean_area": pytest.approx(0.15, abs=0.02),
        "estimates": None,
    }


@given(data=st.data())
def test_rates_have_wilson_intervals(data: st.DataObject) -> None:
    of = data.draw(st.integers(1, 500))
    count = data.draw(st.integers(0, of))
    rate = schema.wilson(count, of)
    expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert rate.low == pytest.approx(expected.low, abs=1e-6)
    assert rate.high == pytest.approx(expected.high, abs=1e-6)


def test_nothing_counted_is_no_rate() -> None:
    assert schema.wilson(0, 0).value is None
