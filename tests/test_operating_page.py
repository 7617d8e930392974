"""docs/operating.md is executed: its commands, one after the other, as an operator would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from flows.runtime.prefect_database import check_database
from tasks.runs import open_run
from tasks.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Prefect makes it."""
    home = tmp_path_factory.mktemp("prefect")
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    program = [str(Path(sys.executable).with_name("prefect")), "server", "database", "reset", "-y"]
    subprocess.run(program, env=environment, check=True, capture_output=True, cwd=home)
    return home / "prefect.db"


@pytest.fixture(scope="module")
def workspace(
    finished_run: RunFolder,
    benchmark_folder: Path,
    prefect_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with data, a run, a series of six nights, each ten days after the one before, and
    the database that Prefect's first server made."""
    folder = tmp_path_factory.mktemp("operating")
    shutil.copytree(benchmark_folder, folder / "photos")
    shutil.copytree(finished_run.path, folder / "runs/first")
    (folder / ".sightline/prefect").mkdir(parents=True)
    shutil.copy(prefect_database, folder / ".sightline/prefect/prefect.db")
    for days in range(60, 0, -10):
        made = datetime.now(UTC) - timedelta(days=days)
        night = folder / "runs/nightly" / made.strftime("%Y-%m-%dT%H-%M-%SZ")
        run = RunFolder.at(shutil.copytree(finished_run.path, night))
        summary = json.loads(run.summary.read_text())
        run.summary.write_text(json.dumps(summary | {"created": made.isoformat()}))
    return folder


@pytest.fixture(scope="module")
def finished(workspace: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command of the page, run in its order by a shell that is answered `n`."""
    programs = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = {**os.environ, **programs, "SIGHTLINE_HOME": str(workspace / ".sightline")}
    return {
        command: subprocess.run(
            ["bash", "-c", command],
            cwd=workspace,
            env=environment,
            input="n\n",
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )
        for command in COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(
    command: str, finished: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = finished[command]
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("finished")
def test_the_rule_keeps_five_nights(workspace: Path) -> None:
    assert len(list((workspace / "runs/nightly").iterdir())) == 5


def test_the_log_is_json(
    workspace: Path, finished: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    for line in (workspace / "sightline.log").read_text().splitlines():
        assert json.loads(line).keys() >= {"time", "level", "logger", "message"}


def test_what_is_restored_is_what_was_saved(
    workspace: Path,
    finished: dict[str, subprocess.CompletedProcess[str]],
    finished_run: RunFolder,
) -> None:
    """The rows, the run in MLflow with its files, and Prefect's database."""
    restored = open_run(workspace / "runs/first")
    assert restored.table().to_pylist() == open_run(finished_run.path).table().to_pylist()
    published = [finished[it].stdout for it in COMMANDS if it.startswith("sightline publish")]
    assert published[0] == published[1]
    client = MlflowClient(tracking_uri=f"sqlite:///{workspace}/.sightline/mlflow.db")
    kept = restored.state.mlflow["run"]
    report = client.download_artifacts(kept, "summary.json", str(workspace))
    assert Path(report).read_text() == (workspace / "runs/first/summary.json").read_text()
    check_database(workspace / ".sightline/prefect/prefect.db")
