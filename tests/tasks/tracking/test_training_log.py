"""A training in MLflow on SQLite: read back what was logged, with MLflow's own client."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tasks.tracking.mlflow_client import InputData
from tasks.tracking.settings import Tracking
from tasks.tracking.training_log import (
    EpochFigures,
    TrainingLog,
    TrainingStart,
)
from tests.support.waiting import PATIENCE, wait_until

AWAY = "http://127.0.0.1:9"
DATA = [
    InputData("training", "birds/train", "a" * 64, "/data/birds", {"total": 320, "boat": 80}),
    InputData("validation", "birds/validation", "b" * 64, "/data/birds", {"total": 64}),
    InputData("audit", "birds/test", "c" * 64, "/data/birds", {"total": 100}),
]


def open_log(tracking: Tracking, training_id: str = "t1", rate: float = 0.01) -> TrainingLog:
    parameters = {"objective": {"name": "s-ib", "rate": rate}, "layer": None}
    return TrainingLog(tracking, TrainingStart("retrain birds", training_id, parameters, DATA))


def figures(epoch: int) -> EpochFigures:
    """The same figures at every call."""
    metrics = {"loss.total": 1 / epoch, "validation.accuracy": 0.5}
    return EpochFigures(epoch, metrics, b"png %d" % epoch, ended=1_700_000_000.5 + epoch)


def logged_runs(tracking: Tracking) -> list[Run]:
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    return list(client.search_runs([experiment.experiment_id]))


def points(tracking: Tracking, run_id: str, name: str) -> list[tuple[int, float, int]]:
    history = MlflowClient(tracking_uri=tracking.uri).get_metric_history(run_id, name)
    return sorted((point.step, point.value, point.timestamp) for point in history)


def check_epochs(tracking: Tracking, count: int) -> None:
    """There is one MLflow run, and it has these epochs once each, with their pictures."""
    (run,) = logged_runs(tracking)
    steps = range(1, count + 1)
    expected = [(step, 1 / step, 1_700_000_000_500 + 1000 * step) for step in steps]
    assert points(tracking, run.info.run_id, "loss.total") == expected
    assert len(points(tracking, run.info.run_id, "validation.accuracy")) == count
    pictures = MlflowClient(tracking_uri=tracking.uri).list_artifacts(run.info.run_id, "maps")
    assert [file.path for file in pictures] == [f"maps/epoch-{step:03d}.png" for step in steps]


def test_a_training_is_logged_whole(tracking: Tracking) -> None:
    training = open_log(tracking)
    for epoch in (1, 2, 3):
        training.send([figures(epoch)])
    training.finish()
    check_epochs(tracking, 3)
    (run,) = logged_runs(tracking)
    assert run.info.run_id == training.run_id
    assert run.info.run_name == "retrain birds"
    assert run.info.status == "FINISHED"
    assert run.data.tags["sightline.training_id"] == "t1"
    assert run.data.params == {"objective.name": "s-ib", "objective.rate": "0.01"}
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert {entry.tags[0].key for entry in run.inputs.dataset_inputs} == {"mlflow.data.context"}
    assert set(inputs) == {"training", "validation", "audit"}
    assert inputs["training"].name == "birds/train"
    assert inputs["training"].digest == "a" * 32
    assert json.loads(inputs["training"].source) == {"uri": "/data/birds"}
    assert json.loads(inputs["training"].profile) == {"total": 320, "boat": 80}


def test_an_epochs_picture_is_logged_unchanged(tracking: Tracking, tmp_path: Path) -> None:
    training = open_log(tracking)
    training.send([figures(7)])
    training.send([EpochFigures(8, {"loss": 1.0})])
    training.finish()
    client = MlflowClient(tracking_uri=tracking.uri)
    (picture,) = client.list_artifacts(training.run_id, "maps")
    file = client.download_artifacts(training.run_id, picture.path, str(tmp_path))
    assert Path(file).read_bytes() == b"png 7"


def test_a_killed_training_continues_its_run(tracking: Tracking) -> None:
    first = open_log(tracking)
    first.send([figures(1)])
    first.finish("KILLED")
    second = open_log(tracking, rate=0.5)  # written once: what it began with
    second.send([figures(1), figures(2)])
    (run,) = logged_runs(tracking)
    assert run.info.status == "RUNNING"
    second.send([figures(3)])
    second.finish()
    check_epochs(tracking, 3)
    (run,) = logged_runs(tracking)
    assert second.run_id == first.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params["objective.rate"] == "0.01"
    assert len(run.inputs.dataset_inputs) == 3


def test_an_epoch_that_is_trained_again_adds_no_second_point(tracking: Tracking) -> None:
    """Killed after MLflow had the epoch and before the checkpoint was written."""
    first = open_log(tracking)
    first.send([figures(1)])
    first.finish("KILLED")
    second = open_log(tracking)
    second.send([EpochFigures(1, {"loss.total": 17.0, "validation.accuracy": 0.1}, b"other")])
    second.finish()
    check_epochs(tracking, 1)


def test_two_trainings_are_two_runs(tracking: Tracking) -> None:
    runs = []
    for training_id in ("t1", "t2"):
        training = open_log(tracking, training_id)
        training.finish()
        runs.append(training.run_id)
    assert len(set(runs)) == len(logged_runs(tracking)) == 2


@pytest.mark.parametrize("uri", [AWAY, "http://me:s3cret@127.0.0.1:9", "nonsense://x"])
def test_an_mlflow_that_is_away_is_one_line(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    training = open_log(Tracking(uri, "tests"))
    with training.system_metrics():
        for epoch in (1, 2, 3):
            training.send([figures(epoch)])
    training.finish()
    assert training.run_id is None
    (line,) = [record.message for record in caplog.records if record.name == "sightline"]
    verb = "failed" if uri.startswith("nonsense") else "does not answer"
    assert line.startswith(f"MLflow at {uri.replace('me:s3cret@', '')} {verb} (")
    assert line.endswith("); the training continues and sends it later")
    assert "s3cret" not in caplog.text


def test_an_mlflow_that_was_away_gets_what_it_missed(tracking: Tracking) -> None:
    history = [figures(epoch) for epoch in (1, 2, 3)]
    away = open_log(Tracking(AWAY, tracking.experiment))
    away.send(history[:2])
    away.finish("KILLED")
    back = open_log(tracking)
    back.send(history)
    back.finish()
    check_epochs(tracking, 3)


def test_files_that_cannot_be_stored_stop_nothing_and_come_later(
    tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "artifacts").write_text("a file in the way")
    training = open_log(tracking)
    training.send([figures(1)])
    training.finish("FAILED")
    (line,) = [record.message for record in caplog.records if record.name == "sightline"]
    assert line.startswith(f"MLflow at {tracking.uri} failed (")
    (tmp_path / "artifacts").unlink()
    again = open_log(tracking)
    again.send([figures(1), figures(2)])
    again.finish()
    check_epochs(tracking, 2)


def test_no_epoch_waits_for_mlflow(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    training = open_log(tracking)
    answers = threading.Event()
    slow = MlflowClient.log_batch

    logged = []

    def log_batch(*given: object, **more: object) -> object:
        answers.wait(PATIENCE)
        logged.append(given)
        return slow(*given, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    for epoch in (1, 2, 3):
        training.send([figures(epoch)])
    assert logged == []
    answers.set()
    training.finish()
    check_epochs(tracking, 3)


def test_the_machine_is_watched_while_it_trains(tracking: Tracking) -> None:
    training = open_log(tracking)
    run_id = training.run_id
    assert run_id is not None

    def load() -> list[tuple[int, float, int]]:
        return points(tracking, run_id, "system/cpu_utilization_percentage")

    for count in (1, 2):  # it continues, and so do the points
        with training.system_metrics(seconds=0.05):
            assert wait_until(lambda least=count: len(load()) >= least)  # type: ignore[misc]
    training.finish()
    assert [step for step, *_ in load()] == list(range(len(load())))
    names = {thread.name for thread in threading.enumerate()}
    assert "SystemMetricsMonitor" not in names
    assert not [name for name in names if name.startswith("mlflow_")]


def test_watching_stops_when_the_training_fails(tracking: Tracking) -> None:
    training = open_log(tracking)
    with pytest.raises(ZeroDivisionError), training.system_metrics(seconds=0.05):
        _ = 1 / 0
    training.finish("FAILED")
    assert "SystemMetricsMonitor" not in {thread.name for thread in threading.enumerate()}
    (run,) = logged_runs(tracking)
    assert run.info.status == "FAILED"
