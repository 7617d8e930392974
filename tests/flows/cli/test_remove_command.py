"""`sightline remove FOLDER --older-than … --keep-last …`: old runs go, what others need stays."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient

from flows.cli.output.runs import format_size
from tasks.model_registry.promotion import AUDITS, VERDICT, promote
from tasks.model_registry.registration import DIGEST
from tasks.runs.folder import RunFolder
from tasks.runs.inventory import entry_of
from tasks.storage.lock import hold_lock
from tasks.tracking.settings import Tracking
from tests.support.command_line import check_refused, invoke
from tests.support.model_versions import ALIAS, PASSED, candidacy, three_versions

NOW = datetime.now(UTC)


def add_run(finished: RunFolder, folder: Path, days: float, **changes: object) -> Path:
    """A run whose figures were made so many days ago."""
    run = RunFolder.at(shutil.copytree(finished.path, folder))
    run.update_state(id=uuid4().hex, **changes)
    summary = json.loads(run.summary.read_text())
    summary["created"] = (NOW - timedelta(days=days)).isoformat(timespec="seconds")
    run.summary.write_text(json.dumps(summary))
    return folder


def night(days: float) -> str:
    return (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H-%M-%SZ")


@pytest.fixture
def nights(finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Six nights of a series, oldest first, 10 days apart, each of which reuses the one before."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    folders: list[Path] = []
    for days in (60, 50, 40, 30.5, 20, 10):
        before = {"reuse": str(folders[-1])} if folders else {}
        folder = tmp_path / "runs/nightly" / night(days)
        folders.append(add_run(finished_run, folder, days, **before))
    return folders


def left(folders: list[Path]) -> list[bool]:
    return [(folder / "run.json").is_file() for folder in folders]


def test_a_run_goes_only_if_age_and_number_both_allow_it(nights: list[Path]) -> None:
    runs = str(nights[0].parent.parent)
    done = invoke("remove", runs, "--older-than", "30d", "--keep-last", "4", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left(nights) == [False, False, True, True, True, True]
    assert "it is younger than 30 days" in done.stdout
    assert "it is one of the last 4 of its folder" in done.stdout
    assert "deleted 2 runs" in done.stdout
    done = invoke("remove", runs, "--older-than", "35d", "--yes")
    assert left(nights) == [False, False, False, True, True, True]
    done = invoke("remove", runs, "--keep-last", "1", "--yes")
    assert left(nights) == [False, False, False, False, True, True]
    assert f"{nights[5]} takes rows from it" in done.stdout
    assert "no run goes" in invoke("remove", runs, "--keep-last", "1", "--yes").stdout


def test_it_shows_what_goes_and_asks(nights: list[Path]) -> None:
    words = ("remove", str(nights[0].parent.parent), "--older-than", "45d")
    refused = invoke(*words, answer="n\n")
    assert refused.exit_code == 0
    goes = [line.split() for line in refused.stdout.splitlines() if "finished" in line]
    size = entry_of(str(nights[0])).size  # the second reuses the first, which takes more bytes
    assert goes[1] == f"nightly/{nights[0].name} finished 60 days {format_size(size)}".split()
    assert goes[0][:4] == f"nightly/{nights[1].name} finished 50 days".split()
    size += entry_of(str(nights[1])).size
    assert f"total {format_size(size)}".split() in [
        it.split() for it in refused.stdout.splitlines()
    ]
    assert "Delete 2 runs?" in refused.stdout
    assert "nothing was deleted" in refused.stdout
    assert invoke(*words, answer="").exit_code == 2
    assert all(left(nights))
    assert invoke(*words, answer="y\n").exit_code == 0
    assert left(nights) == [False, False, True, True, True, True]


def test_the_next_night_finds_the_last_finished_one(nights: list[Path]) -> None:
    RunFolder.at(nights[5]).update_state(state="running")  # killed: it can still continue
    done = invoke("remove", str(nights[0].parent), "--older-than", "1d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left(nights) == [False, False, False, False, True, False]
    assert "the next run of its series starts from it" in done.stdout


def test_what_a_run_that_can_continue_takes_rows_from_stays(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    old = add_run(finished_run, tmp_path / "runs/old", 90)
    new = add_run(finished_run, tmp_path / "runs/new", 80)
    half = add_run(finished_run, tmp_path / "other/half", 1, reuse=str(old), state="running")
    done = invoke("remove", str(tmp_path), "--older-than", "30d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left([old, new, half]) == [True, False, True]
    assert f"{half} takes rows from it" in done.stdout


def test_a_run_that_is_written_or_damaged_stays(finished_run: RunFolder, tmp_path: Path) -> None:
    written = add_run(finished_run, tmp_path / "runs/written", 90)
    damaged = add_run(finished_run, tmp_path / "runs/damaged", 90)
    (damaged / "run.json").write_text("{")
    with hold_lock(str(written)):
        done = invoke("remove", str(tmp_path / "runs"), "--older-than", "30d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left([written, damaged]) == [True, True]
    assert "it is being written" in done.stdout
    assert "its run.json is damaged" in done.stdout
    assert "no run goes" in done.stdout


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database made by MLflow, to be copied: making one takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def registry(database: Path, nights: list[Path], tmp_path: Path) -> MlflowClient:
    """Three versions of `birds` in the MLflow that the environment names."""
    shutil.copy(database, tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    three_versions(client, "birds")
    return client


def id_of(run: Path) -> str:
    return str(RunFolder.at(run).read_state().id)


def test_what_a_champion_stands_on_stays(
    registry: MlflowClient, nights: list[Path], tmp_path: Path
) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "tests")
    evidence = PASSED | {AUDITS: f"{id_of(nights[1])},{id_of(nights[2])}"}
    assert promote(candidacy(2), ALIAS, tracking, evidence) is None
    moved = nights[2].rename(nights[2].with_name("moved"))  # it is known by its id
    done = invoke("remove", str(tmp_path), "--older-than", "30d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left([*nights, moved]) == [False, True, False, False, True, True, True]
    assert done.stdout.count("the release of champion birds/2 stands on it") == 2
    evidence = PASSED | {AUDITS: id_of(nights[4])}
    assert promote(candidacy(3, champion="2"), ALIAS, tracking, evidence) is None
    done = invoke("remove", str(tmp_path), "--older-than", "30d", "--yes")
    assert left([nights[1], moved]) == [False, False]  # of a champion that was replaced


def test_audits_of_a_champion_that_names_none_stay(
    registry: MlflowClient, nights: list[Path], tmp_path: Path
) -> None:
    """It was released by a Sightline that did not write their ids yet."""
    model = RunFolder.at(nights[0]).read_state().identity.model
    registry.set_model_version_tag("birds", "1", DIGEST, model)
    registry.set_model_version_tag("birds", "1", VERDICT, "passed")
    done = invoke("remove", str(tmp_path), "--older-than", "30d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert all(left(nights))
    assert "it audits champion birds/1, whose release does not name its audits" in done.stdout


def test_the_mlflow_that_a_run_went_to_is_asked_too(
    registry: MlflowClient, nights: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.set_model_version_tag("birds", "1", AUDITS, id_of(nights[0]))
    published = {"uri": f"sqlite:///{tmp_path / 'mlflow.db'}", "experiment": "x", "run": "y"}
    RunFolder.at(nights[0]).update_state(mlflow=published)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    done = invoke("remove", str(tmp_path), "--older-than", "55d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left(nights)[0]
    assert not (tmp_path / "another.db").exists()


@pytest.mark.usefixtures("without_backoff")
def test_nothing_goes_while_a_registry_does_not_answer(
    nights: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    runs = str(nights[0].parent)
    check_refused(invoke("remove", runs, "--older-than", "55d", "--yes"), 3, "nothing was deleted")
    assert all(left(nights))
    assert invoke("remove", runs, "--older-than", "90d", "--yes").exit_code == 0  # none to ask of


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--older-than", value) for value in ("30", "d", "-1d", "1.5d", "30 d", "123456d", "")),
        *(("--keep-last", value) for value in ("0", "-1", "five", "1000000", "²", "")),
    ],
)
def test_a_bad_value_is_refused_in_one_line(option: str, value: str, tmp_path: Path) -> None:
    check_refused(invoke("remove", str(tmp_path), option, value), 2, f"{option} {value}")


def test_a_folder_is_needed(nights: list[Path], tmp_path: Path) -> None:
    one = invoke("remove", str(nights[0]), "--keep-last", "1")
    check_refused(one, 2, "is one run: give the folder that contains your runs")
    check_refused(invoke("remove", str(tmp_path / "nowhere"), "--keep-last", "1"), 2, "not found")
