"""The command compare-methods, from pictures to MLflow, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from mlflow.tracking import MlflowClient

from flows.settings.environment import tracking_of
from tasks.runs import open_run
from tasks.tracking.metrics import metrics_of_methods
from tasks.tracking.settings import TrackingSettings
from tests.support.command_line import invoke

METHODS = "grad_cam,rise:masks=10,captum:Saliency"


def command(benchmark: Path, bundle: Path, run: Path, *more: str) -> Result:
    data = ["compare-methods", "--data", str(benchmark), "--split", "test", "--model", str(bundle)]
    sizes = ["--sample", "8", "--tested", "4", "--shard-size", "4", "--workers", "1"]
    return invoke(*data, *sizes, "--out", str(run), *more)


@pytest.fixture(scope="module")
def run(
    prefect_server: None,
    benchmark_folder: Path,
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("methods") / "run"
    done = command(
        benchmark_folder, bundle, folder, "--methods", METHODS, "--experiment", folder.parent.name
    )
    assert done.exit_code == 0, done.stderr
    assert "grad_cam" in done.stdout
    assert f"report:  {folder / 'methods.html'}" in done.stdout
    return folder


def test_it_leaves_figures_a_page_and_an_mlflow_run(run: Path) -> None:
    summary = open_run(run).methods_summary()
    assert [row.method for row in summary.methods] == METHODS.split(",")
    page = (run / "methods.html").read_text(encoding="utf-8")
    assert "rise:masks=10" in page or "rise:" in page
    tracking = tracking_of(TrackingSettings(experiment=run.parent.name))
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics == pytest.approx(metrics_of_methods(summary))
    assert "rise:masks-10.faithfulness" in logged.data.metrics
    assert logged.data.params["comparison.tested"] == "4"
    files = {artifact.path for artifact in client.list_artifacts(logged.info.run_id)}
    assert files == {"catalog.parquet", "methods.json", "methods.html"}


def test_show_prints_it_again(run: Path) -> None:
    shown = invoke("show", str(run))
    assert shown.exit_code == 0
    assert "captum:Saliency" in shown.stdout
    as_json = invoke("show", str(run), "--json")
    assert json.loads(as_json.stdout)["images"] == 8


@pytest.mark.full
def test_a_method_more_computes_that_method_alone(
    run: Path, benchmark_folder: Path, bundle: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (run / "maps").rglob("*.parquet")}
    more = ("--methods", f"{METHODS},saliency", "--experiment", f"{run.parent.name} more")
    done = command(benchmark_folder, bundle, run, *more)
    assert done.exit_code == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert open_run(run).methods == sorted([*METHODS.split(","), "saliency"])


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        ("gradcam", "unknown method 'gradcam' (did you mean 'grad_cam'?)"),
        ("rise:mask=5", "method rise has no argument 'mask' (did you mean 'masks'?)"),
        ("captum:Nothing", "Captum has no method 'Nothing'"),
    ],
)
def test_an_error_is_one_line(
    methods: str, line: str, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    done = command(benchmark_folder, bundle, tmp_path / "run", "--methods", methods)
    assert done.exit_code == 2
    (error,) = done.stderr.splitlines()
    assert line in error
    assert not (tmp_path / "run").exists()
