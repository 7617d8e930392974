"""A finished run in MLflow on SQLite: read back what was logged, with MLflow's own client."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tasks.publish import PublishError, metrics_of, publish_run
from tasks.reader import open_run
from tasks.store import RunFolder


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    run.report.write_text("<html></html>")
    return run


@pytest.fixture
def store(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri()


def test_everything_is_logged_once(run: RunFolder, store: tuple[str, str]) -> None:
    uri, artifacts = store
    run_id = publish_run(run, uri, "tests", artifacts, "flow-run-1")
    client = MlflowClient(tracking_uri=uri)
    logged = client.get_run(run_id)
    summary = open_run(run.path).summary()
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics == pytest.approx(metrics_of(summary))
    assert logged.data.metrics["grad_cam_pp.mean_lift"] > 0
    assert logged.data.params["data.split"] == "test"
    assert logged.data.tags["sightline.model"] == summary.model.digest
    assert logged.data.tags["prefect.flow_run"] == "flow-run-1"
    (dataset,) = logged.inputs.dataset_inputs
    assert dataset.dataset.digest == run.read_state()["identity"]["catalog"]
    names = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert names == {"catalog.parquet", "flags.parquet", "summary.json", "report.html"}


def test_publishing_again_continues_the_same_run(run: RunFolder, store: tuple[str, str]) -> None:
    first = publish_run(run, store[0], "tests", store[1], None)
    second = publish_run(run, store[0], "tests", store[1], None)
    client = MlflowClient(tracking_uri=store[0])
    experiment = client.get_experiment_by_name("tests")
    assert first == second
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_other_settings_or_another_server_are_another_run(
    run: RunFolder, store: tuple[str, str], tmp_path: Path
) -> None:
    first = publish_run(run, store[0], "tests", store[1], None)
    settings = run.read_state()["settings"]
    run.update_state(settings=settings | {"flags": {"threshold": 0.9}})
    second = publish_run(run, store[0], "tests", store[1], None)
    third = publish_run(run, f"sqlite:///{tmp_path / 'other.db'}", "tests", store[1], None)
    assert len({first, second, third}) == 3


def test_mlflow_being_away_is_one_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PublishError, match="did not take the run") as caught:
        publish_run(run, "http://127.0.0.1:9", "tests", None, None)
    assert "\n" not in str(caught.value)
