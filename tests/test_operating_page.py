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

from tasks.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def workspace(
    finished_run: RunFolder, benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a series of six nights, each ten days after the one before."""
    folder = tmp_path_factory.mktemp("operating")
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
