"""A finished run in MLflow on SQLite: read back what was logged, with MLflow's own client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from upath import UPath

from models.classifier.settings import ModelSettings
from models.errors import MlflowUnavailable, RunFolderError, UserError
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.tracking.audit_run import publish_run
from tasks.tracking.metrics import metrics_of
from tasks.tracking.settings import Tracking
from tests.support.audits import run_audit

FILES = {"catalog.parquet", "flags.parquet", "summary.json", "report.html"}


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    run.report.write_text("<html></html>")
    run.update_state(id=tmp_path.name)
    return run


def logged_runs(tracking: Tracking) -> list[Run]:
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_everything_is_logged_once(run: RunFolder, tracking: Tracking) -> None:
    run_id = publish_run(run, tracking, "flow-run-1")
    client = MlflowClient(tracking_uri=tracking.uri)
    logged = client.get_run(run_id)
    summary = open_run(run.path).summary()
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics == pytest.approx(metrics_of(summary))
    assert logged.data.metrics["grad_cam_pp.mean_lift"] > 0
    assert logged.data.params["data.split"] == "test"
    assert logged.data.tags["sightline.model"] == summary.model.digest
    assert logged.data.tags["sightline.run_id"] == run.read_state().id
    assert logged.data.tags["prefect.flow_run"] == "flow-run-1"
    (dataset,) = logged.inputs.dataset_inputs
    assert dataset.dataset.digest == run.read_state().identity.catalog
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == FILES


@pytest.mark.parametrize(
    ("data", "model", "name"),
    [
        ("/data/photos/", "torchvision:resnet18", "photos · resnet18 · run"),
        ("photos/table.csv", "timm:resnet50.a1_in1k", "table.csv · resnet50.a1_in1k · run"),
        ("s3://key:secret@bucket/photos?sig=1", "models/birds", "photos · birds · run"),
        ("photos", "/code/net.py:build", "photos · net.py:build · run"),
        ("photos", "mlflow:models:/birds/3", "photos · birds/3 · run"),
    ],
)
def test_its_name_says_which_data_and_which_model(
    run: RunFolder, tracking: Tracking, data: str, model: str, name: str
) -> None:
    settings = run.read_state().settings
    run.update_state(settings=settings | {"data": {"path": data}, "model": {"address": model}})
    publish_run(run, tracking)
    (logged,) = logged_runs(tracking)
    assert logged.info.run_name == name


def test_publishing_twice_changes_nothing(run: RunFolder, tracking: Tracking) -> None:
    first = publish_run(run, tracking)
    before = logged_runs(tracking)
    assert publish_run(run, tracking) == first
    after = logged_runs(tracking)
    assert [logged.to_dictionary() for logged in after] == [
        logged.to_dictionary() for logged in before
    ]
    assert len(after) == 1


def test_a_newer_summary_becomes_the_latest_of_the_same_run(
    run: RunFolder, tracking: Tracking
) -> None:
    publish_run(run, tracking)
    summary = open_run(run.path).summary()
    fewer = summary.images.model_copy(update={"total": 1})
    newer = summary.model_copy(update={"created": "2999-01-01T00:00:00+00:00", "images": fewer})
    run.summary.write_text(newer.model_dump_json())
    publish_run(run, tracking)
    (logged,) = logged_runs(tracking)
    assert logged.data.metrics["images"] == 1


def test_the_run_is_found_again_though_run_json_does_not_name_it(
    run: RunFolder, tracking: Tracking
) -> None:
    first = publish_run(run, tracking)
    state = run.read_state()
    run.update_state(mlflow={})
    assert publish_run(run, tracking) == first
    assert run.read_state().mlflow == state.mlflow


def test_a_run_that_was_created_twice_is_one_afterwards(run: RunFolder, tracking: Tracking) -> None:
    """A request whose answer was lost is sent again by the client, and creates a second run."""
    first = publish_run(run, tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    (logged,) = logged_runs(tracking)
    tags = {key: value for key, value in logged.data.tags.items() if key.startswith("sightline.")}
    del tags["sightline.published"]
    for _ in range(2):
        client.create_run(logged.info.experiment_id, tags=tags)
    assert publish_run(run, tracking) == first
    assert len(logged_runs(tracking)) == 1


def test_other_workers_make_no_other_run(run: RunFolder, tracking: Tracking) -> None:
    settings = run.read_state().settings
    run.update_state(settings=settings | {"compute": {"workers": 1}})
    first = publish_run(run, tracking)
    run.update_state(settings=settings | {"compute": {"workers": 4}, "tracking": {"uri": "x"}})
    assert publish_run(run, tracking) == first


def test_other_settings_or_another_server_or_experiment_are_another_run(
    run: RunFolder, tracking: Tracking, tmp_path: Path
) -> None:
    first = publish_run(run, tracking)
    elsewhere = publish_run(
        run, Tracking(f"sqlite:///{tmp_path / 'other.db'}", "tests", tracking.artifacts)
    )
    beside = publish_run(run, Tracking(tracking.uri, "beside", tracking.artifacts))
    settings = run.read_state().settings
    run.update_state(settings=settings | {"flags": {"threshold": 0.9}})
    other = publish_run(run, tracking)
    assert len({first, elsewhere, beside, other}) == 4


def test_an_old_run_without_an_id_gets_one(run: RunFolder, tracking: Tracking) -> None:
    state = json.loads(run.state.read_text())
    del state["id"]
    run.state.write_text(json.dumps(state))
    assert publish_run(run, tracking) == publish_run(run, tracking)
    assert run.read_state().id


def test_a_run_folder_elsewhere_is_published_as_well(run: RunFolder, tracking: Tracking) -> None:
    there = UPath("memory://published/run")
    there.fs.put(str(run.path), there.path, recursive=True)
    run_id = publish_run(RunFolder.at(there), tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == FILES


def test_a_run_that_is_not_finished_is_refused(run: RunFolder, tracking: Tracking) -> None:
    run.report.unlink()
    with pytest.raises(RunFolderError, match="has no report yet: run the same command again"):
        publish_run(run, tracking)
    run.summary.unlink()
    with pytest.raises(UserError, match="is not finished"):
        publish_run(run, tracking)


def test_a_deleted_experiment_is_one_line(run: RunFolder, tracking: Tracking) -> None:
    publish_run(run, tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    client.delete_experiment(client.get_experiment_by_name(tracking.experiment).experiment_id)
    with pytest.raises(MlflowUnavailable, match="must be in the 'active' state"):
        publish_run(run, tracking)


def test_mlflow_being_away_is_one_line_with_the_command_for_later(run: RunFolder) -> None:
    with pytest.raises(MlflowUnavailable) as caught:
        publish_run(run, Tracking("http://127.0.0.1:9", "tests"))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("MLflow at http://127.0.0.1:9 does not answer (Connection refused); ")
    assert line.endswith(f"; the run is kept; to send it later: sightline publish {run.path}")


def test_pandas_categories_and_methods_with_arguments_reach_mlflow(
    benchmark_folder: Path, bundle: Path, tracking: Tracking, tmp_path: Path
) -> None:
    frame = pd.read_csv(benchmark_folder / "metadata.csv").query("split == 'test'").iloc[::4]
    table = pa.Table.from_pandas(frame.assign(place=pd.Categorical(frame["background"])))
    views = table["background"].cast(pa.string_view())
    pq.write_table(table.append_column("view", views), tmp_path / "table.parquet")
    data = DataSettings(path=str(tmp_path / "table.parquet"), images=str(benchmark_folder))
    methods = AttributionSettings(methods=("grad_cam_pp", "rise:masks=4:cells=3"))
    run = run_audit(tmp_path / "run", data, ModelSettings(address=str(bundle)), methods)
    run.finish(run.report, "<html></html>")
    columns = open_run(run.path).summary().by_column
    assert columns
    publish_run(run, tracking)
    (logged,) = logged_runs(tracking)
    assert "rise:masks-4:cells-3.mean_lift" in logged.data.metrics
