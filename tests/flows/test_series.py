"""Runs of a series by hand: a folder each, and the second compared with the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect.states import Failed

from flows.runtime.prefect_tasks import is_mlflow_away
from models.errors import MlflowUnavailable, UserError
from tests.support.command_line import invoke


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_a_series_by_hand_compares_each_run_with_the_one_before(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    options = [
        *("audit", "--data", str(benchmark_folder), "--split", "test", "--model", str(bundle)),
        *("--series", str(tmp_path / "runs"), "--mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}"),
        *("--workers", "1", "--methods", "grad_cam_pp", "--json"),
    ]
    summaries = []
    for _ in range(2):
        done = invoke(*options)
        assert done.exit_code == 0, done.stderr
        summaries.append(json.loads(done.stdout))
        saved = ("scenario", summaries[-1]["run"], f"all of run {len(summaries)}")
        assert invoke(*saved, "--filter", "{}").exit_code == 0
    first, second = (Path(summary["run"]) for summary in summaries)
    assert sorted((tmp_path / "runs/by-hand").iterdir()) == [first, second]
    assert summaries[0]["moved"] is None
    assert summaries[1]["moved"]["before"] == str(first)
    assert summaries[1]["cost"]["computed"] == 0
    assert "Since the last run" in (second / "report.html").read_text()

    shown = json.loads(invoke("show", str(second), "--scenarios", "--json").stdout)
    assert [it["name"] for it in shown["scenarios"]] == ["all of run 1", "all of run 2"]
    assert shown["scenarios"][0]["figures"] == shown["all"]

    compared = invoke("compare", str(second), str(first), "--json")
    assert json.loads(compared.stdout) == summaries[1]["moved"]
    printed = invoke("compare", str(second), str(first)).stdout
    assert f"since:   {first}" in printed
    assert "no change" in printed
    assert printed in invoke("show", str(second)).stdout


def test_a_run_that_is_not_finished_is_not_compared(tmp_path: Path) -> None:
    done = invoke("compare", str(tmp_path), str(tmp_path))
    assert done.exit_code == 2
    assert "is not a run folder" in done.stderr


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (MlflowUnavailable("MLflow at … failed"), True),
        (UserError("MLflow has no registered model 'birds'"), False),
        (MemoryError(), False),
    ],
)
def test_only_what_mlflow_did_not_answer_is_tried_again(error: Exception, again: bool) -> None:
    assert is_mlflow_away(None, None, Failed(data=error)) == again
