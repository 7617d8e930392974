"""A real MLflow server on loopback: models in and out, and runs that arrive exactly once."""

from __future__ import annotations

import json
import shutil
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from click.testing import Result
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from flows.settings.environment import tracking_uri
from models.classifier.classifier import Classifier, load_classifier
from models.classifier.mlflow_models import fetch
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.errors import MlflowUnavailable
from tasks.model_registry.registration import Origin, RegisteredModel, register_model
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.tracking.audit_run import publish_run
from tasks.tracking.metrics import metrics_of
from tasks.tracking.settings import RegistrySettings, Tracking, TrackingSettings
from tasks.tracking.training_log import EpochFigures, TrainingLog, TrainingStart
from tests.support.command_line import invoke
from tests.support.mlflow_server import Line, Server, line_to
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_backoff")


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of a finished run that is not published yet."""
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    run.report.write_text("<html></html>")
    run.update_state(id=tmp_path.name)
    return run


def logged_runs(server: Server, run: RunFolder, experiment: str) -> list[Run]:
    client = MlflowClient(tracking_uri=server.uri)
    found = client.get_experiment_by_name(experiment)
    whose = f"tags.`sightline.run_id` = '{run.read_state().id}'"
    return list(client.search_runs([found.experiment_id], whose))


def check_run_is_whole(server: Server, run: RunFolder, experiment: str) -> None:
    """There is one MLflow run, and it has everything."""
    (logged,) = logged_runs(server, run, experiment)
    client = MlflowClient(tracking_uri=server.uri)
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics == pytest.approx(metrics_of(open_run(run.path).summary()))
    assert logged.data.params["data.split"] == "test"
    for name in metrics_of(open_run(run.path).summary()):
        assert len(client.get_metric_history(logged.info.run_id, name)) == 1
    assert len(logged.inputs.dataset_inputs) == 1
    files = {file.path: file.file_size for file in client.list_artifacts(logged.info.run_id)}
    paths = (run.catalog, run.flags, run.summary, run.report)
    assert files == {path.name: path.stat().st_size for path in paths}


def requests_of(server: Server, run: RunFolder, experiment: str) -> int:
    with line_to(server) as line:
        publish_run(run, Tracking(line.uri, experiment))
    return line.passed


def test_a_run_arrives_whole(server: Server, run: RunFolder) -> None:
    assert 10 <= requests_of(server, run, "whole") <= 20
    check_run_is_whole(server, run, "whole")


@pytest.mark.parametrize("lost", [1, 4, 5, 6, 7, 9, 12])
def test_a_try_that_died_anywhere_leaves_one_run_after_the_next(
    lost: int, server: Server, run: RunFolder
) -> None:
    experiment = f"died-{lost}"
    with line_to(server, lost, cut=True) as line:
        with suppress(MlflowUnavailable):  # the last ones are past the end
            publish_run(run, Tracking(line.uri, experiment))
        line.cut, line.lost = False, None
        publish_run(run, Tracking(line.uri, experiment))
    check_run_is_whole(server, run, experiment)


@pytest.mark.parametrize("lost", [1, 4, 6, 7, 10])
def test_an_answer_that_is_lost_anywhere_doubles_nothing(
    lost: int, server: Server, run: RunFolder
) -> None:
    """The client sends the request again, which the server has already done."""
    experiment = f"lost-{lost}"
    with line_to(server, lost) as line:
        publish_run(run, Tracking(line.uri, experiment))
    check_run_is_whole(server, run, experiment)


@pytest.mark.full
def test_a_server_that_is_killed_and_comes_back_has_one_run(server: Server, run: RunFolder) -> None:
    count = requests_of(server, run, "first")
    with line_to(server, count // 2, cut=True) as line, pytest.raises(MlflowUnavailable):
        publish_run(run, Tracking(line.uri, "killed"))
    server.kill()
    done = invoke("publish", str(run.path), "--mlflow", server.uri, "--experiment", "killed")
    assert done.exit_code == 3
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"sightline: MLflow at {server.uri} does not answer (")
    assert message.endswith(f"; the run is kept; to send it later: sightline publish {run.path}")
    server.start()
    for _ in range(2):
        done = invoke("publish", str(run.path), "--mlflow", server.uri, "--experiment", "killed")
        assert done.exit_code == 0, done.stderr
        run_id = run.read_state().mlflow["run"]
        assert done.stdout == f"{run_id} in experiment killed of MLflow at {server.uri}\n"
    check_run_is_whole(server, run, "killed")


def test_two_publishers_at_once_leave_one_run(server: Server, run: RunFolder) -> None:
    tracking = Tracking(server.uri, "together")
    copies = [f"{run.path}-{index}" for index in range(4)]
    for copy in copies:
        shutil.copytree(run.path, copy)
    with ThreadPoolExecutor(len(copies)) as pool:
        published = list(pool.map(lambda copy: publish_or_not(copy, tracking), copies))
    assert any(published)
    publish_run(run, tracking)
    check_run_is_whole(server, run, "together")


def publish_or_not(folder: str, tracking: Tracking) -> bool:
    """May fail where another publisher deleted its MLflow run as a duplicate."""
    try:
        publish_run(RunFolder.at(folder), tracking)
    except MlflowUnavailable:
        return False
    return True


def test_epochs_that_mlflow_missed_are_sent_when_it_is_back(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with line_to(server) as line:
        start = TrainingStart("retrain", "t1", {"epochs": 3}, [])
        training = TrainingLog(Tracking(line.uri, "training"), start)
        training.send([EpochFigures(1, {"loss": 1.0}, b"picture")])
        line.lost, line.cut = -1, True

        def is_missed() -> bool:
            training.send([EpochFigures(2, {"loss": 0.5}, b"picture")])
            return "does not answer" in caplog.text

        assert wait_until(is_missed)
        line.lost, line.cut = None, False
        training.send([EpochFigures(3, {"loss": 0.25}, b"picture")])
        training.finish()
    client = MlflowClient(tracking_uri=server.uri)
    points = client.get_metric_history(training.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert len(client.list_artifacts(training.run_id, "maps")) == 3
    assert client.get_run(training.run_id).info.status == "FINISHED"
    assert [record.name for record in caplog.records].count("sightline") == 1


def register_through(line: Line, classifier: Classifier, name: str) -> RegisteredModel:
    registry = RegistrySettings(name=name, alias="candidate")
    return register_model(classifier, registry, Tracking(line.uri, name), Origin(name))


def check_one_version(server: Server, name: str) -> None:
    client = MlflowClient(tracking_uri=server.uri)
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert {str(number) for number in client.get_registered_model(name).aliases.values()} == {
        str(version.version)
    }
    files = {file.path for file in client.list_artifacts(version.run_id, "model")}
    assert {"model/MLmodel", "model/model.json", "model/model.safetensors"} <= files


@pytest.mark.full
def test_a_version_is_one_wherever_an_answer_is_lost_or_the_try_dies(
    server: Server, bundle: Path
) -> None:
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    with line_to(server) as line:
        register_through(line, classifier, "unharmed")
    check_one_version(server, "unharmed")
    for lost in range(line.passed - 4, line.passed):  # from the version to its alias
        with line_to(server, lost) as line:
            register_through(line, classifier, f"lost-{lost}")
        check_one_version(server, f"lost-{lost}")
        with line_to(server, lost, cut=True) as line:
            with suppress(MlflowUnavailable):  # the last ones are past the end
                register_through(line, classifier, f"died-{lost}")
            line.cut, line.lost = False, None
            register_through(line, classifier, f"died-{lost}")
        check_one_version(server, f"died-{lost}")


def test_what_cannot_be_published_is_one_line(tmp_path: Path) -> None:
    done = invoke("publish", str(tmp_path))
    assert done.exit_code == 2
    assert "is not a run folder (it has no run.json)" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "a/b"), "setting registry.name: it must match ^[^"),
        (("--name", "birds", "--alias", "v3"), "MLflow keeps latest and v1, v2, … for itself"),
        ((), "setting registry.name is missing: give --name"),
    ],
)
def test_a_name_that_mlflow_would_refuse_is_refused_first(
    options: tuple[str, ...], message: str, bundle: Path
) -> None:
    done = invoke("log", "--model", str(bundle), *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_logging_while_mlflow_is_away_is_one_line(bundle: Path) -> None:
    done = invoke(
        "log", "--model", str(bundle), "--name", "birds", "--mlflow", "http://127.0.0.1:9"
    )
    assert done.exit_code == 3
    assert "no version was registered, or its alias is not set" in done.stderr.splitlines()[-1]


def test_a_password_in_the_environment_works_and_is_nowhere(
    server: Server, run: RunFolder, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("//", "//me:s3cret@"))
    logged = invoke("log", "--model", str(bundle), "--name", "kept")
    assert logged.exit_code == 0, logged.stderr
    done = invoke("publish", str(run.path), "--experiment", "secret")
    assert done.stdout.endswith(f" in experiment secret of MLflow at {server.uri}\n"), done.stderr
    check_run_is_whole(server, run, "secret")
    assert json.loads(run.state.read_text())["mlflow"]["uri"] == server.uri
    uri, _ = tracking_uri(TrackingSettings())
    with fetch(ModelSettings(address="mlflow:models:/kept/1"), uri) as model:
        assert "s3cret" not in str(model)
    files = [path for folder in (run.path, server.folder) for path in Path(folder).rglob("*")]
    assert not [path for path in files if path.is_file() and b"s3cret" in path.read_bytes()]
    assert not any("s3cret" in text for text in (done.output, logged.output))


def test_a_password_is_not_shown_when_mlflow_is_away(run: RunFolder) -> None:
    uri = "http://me:s3cret@127.0.0.1:9"
    with pytest.raises(MlflowUnavailable) as published:
        publish_run(run, Tracking(uri, "tests"))
    settings = ModelSettings(address="mlflow:models:/scenes/1")
    with pytest.raises(MlflowUnavailable) as fetched, fetch(settings, uri):
        pass
    for error in (published.value, fetched.value):
        assert str(error).startswith("MLflow at http://127.0.0.1:9 ")
        # The flow's log has the traceback.
        assert "s3cret" not in "".join(traceback.format_exception(error))


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_a_logged_model_is_audited_by_its_alias(
    server: Server, benchmark_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("fish\nmushroom\nballoon\ncactus\n")
    numbers = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    (tmp_path / "pictures.json").write_text(json.dumps({"crop": (64, 64), **numbers}))
    addresses = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save({"state_dict": small_resnet(4).state_dict()}, tmp_path / "last.pt")
        logged = invoke(
            *("log", "--model", "sightline:small_resnet", "--weights", str(tmp_path / "last.pt")),
            *("--classes", str(tmp_path / "classes.txt"), "--layer", "stage2"),
            *("--preprocessing", str(tmp_path / "pictures.json")),
            *("--name", "scenes", "--alias", "champion", "--mlflow", server.uri),
        )
        assert logged.exit_code == 0, logged.stderr
        addresses.append(logged.stdout)
        audited = audit(server, benchmark_folder, tmp_path)
        if seed == 0:
            assert audited.exit_code == 0, audited.stderr
    assert addresses == ["mlflow:models:/scenes/1\n", "mlflow:models:/scenes/2\n"]
    assert audited.exit_code == 2  # the alias moved meanwhile
    assert "contains another run (model was " in audited.stderr
    shutil.rmtree(tmp_path / "run" / "model")  # version 1 is fetched again, computes nothing
    again = audit(server, benchmark_folder, tmp_path, "mlflow:models:/scenes/1")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["cost"]["computed"] == 0

    state = open_run(tmp_path / "run").state
    version = MlflowClient(tracking_uri=server.uri).get_model_version("scenes", "1")
    assert state.model_origin["address"] == "models:/scenes/1"
    assert state.model_origin["run"] == version.run_id
    assert state.model is not None
    assert state.model.address == str(tmp_path / "run" / "model")
    assert json.loads((tmp_path / "run/model/model.json").read_text())["layer"] == "stage2"
    assert state.identity.layer == "stage2"


def audit(server: Server, data: Path, folder: Path, model: str | None = None) -> Result:
    return invoke(
        *("audit", "--data", str(data), "--split", "test", "--out", str(folder / "run")),
        *("--model", model or "mlflow:models:/scenes@champion"),
        *("--mlflow", server.uri, "--workers", "1", "--json"),
    )
