"""docs/explorer.md is executed: its commands, its filters and its SQL."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import duckdb
import httpx
import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from tasks.query.filters import Condition, Filter
from tasks.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/explorer.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
PROGRAM = [sys.executable, "-c", "from flows.cli import main; main()"]
PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def workspace(
    finished_run: RunFolder,
    other_run: RunFolder,
    bundle: Path,
    prefect_server: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The runs and the model that the page speaks of, and a selection made by the explorer."""
    folder = tmp_path_factory.mktemp("explorer")
    runs = {"look": finished_run, "before": finished_run, "after": other_run}
    for name, run in runs.items():
        shutil.copytree(run.path, folder / "runs" / name)
    shutil.copytree(bundle, folder / "model")
    flagged = {"conditions": [{"kind": "range", "column": "score", "low": 0.5}]}
    parameters = {"format": "csv", "filter": json.dumps(flagged)}
    answers = ask(folder, "sightline open runs/look", {"selection": parameters})
    (folder / "selection.csv").write_text(answers["selection"].text)
    return folder


def ask(
    folder: Path, command: str, questions: dict[str, dict[str, str]]
) -> dict[str, httpx.Response]:
    """Start the explorer, ask, and end it as a user does."""
    process = subprocess.Popen(
        [*PROGRAM, *shlex.split(command)[1:], "--no-browser"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        address = output.readline().strip()
        answers = {
            name: httpx.get(address + name, params=parameters, timeout=PATIENCE)
            for name, parameters in questions.items()
        }
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    return answers


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*PROGRAM, *shlex.split(command)[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_every_command_is_run_here() -> None:
    assert len(COMMANDS) == 5
    assert all(it.startswith("sightline ") for it in COMMANDS)


@pytest.mark.parametrize("command", [it for it in COMMANDS if " open " in it])
def test_open_shows_the_page_until_ctrl_c(command: str, workspace: Path) -> None:
    answers = ask(workspace, command, {"": {}, "api/run": {}})
    assert "<title>" in answers[""].text
    assert answers["api/run"].json()["compared"] == (" runs/before" in command)
    folder = workspace / "runs/look"
    assert not list(folder.rglob("*.tmp"))


def test_a_port_that_is_taken_is_refused_in_one_line(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(workspace, f"sightline open runs/look --port {port}")
    assert done.returncode == 2
    line = rf"sightline: port {port} cannot be used .*: give another --port, .*\n"
    assert re.fullmatch(line, done.stderr)


@pytest.mark.parametrize("command", [it for it in COMMANDS if " open " not in it])
def test_the_other_commands_work(command: str, workspace: Path) -> None:
    with chdir(workspace):
        if " show " in command:
            CliRunner().invoke(main, shlex.split(COMMANDS[2])[1:], catch_exceptions=False)
        result = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_filter_is_one_and_every_kind_is_named() -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert [it.kind for it in Filter.parse(text).conditions] == ["values", "range", "text"]
    kinds = {it.model_fields["kind"].default for it in Condition.__origin__.__args__}  # type: ignore[attr-defined]
    assert set(re.findall(r"^\| `(\w+)` \| (?:one|a)", PAGE, flags=re.MULTILINE)) == kinds


def test_the_sql_runs_on_the_files(workspace: Path) -> None:
    (text,) = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    with chdir(workspace):
        assert len(duckdb.sql(text).fetchall()) == 1
