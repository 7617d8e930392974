"""Thirty faults around real commands: no traceback, the right exit code, no hang, nothing lost.

No process is left, and the folder that a command was stopped in is readable afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from tasks.runs.folder import RunFolder
from tests.hostile.faults import SERVER, Fault, all_faults
from tests.hostile.hostile_input import PYTHON
from tests.support.command_line import SIGHTLINE, invoke
from tests.support.waiting import wait_until

FAULTS = all_faults()
QUICK = ("the working folder is gone", "a clock that is a year ahead")

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def folder(
    benchmark_folder: Path, bundle: Path, finished_run: RunFolder, tmp_path: Path
) -> Iterator[Path]:
    (tmp_path / "data").symlink_to(benchmark_folder)
    (tmp_path / "model").symlink_to(bundle)
    shutil.copytree(str(finished_run.path), tmp_path / "run")
    yield tmp_path
    for process in processes_of(tmp_path):
        process.kill()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Those that the command in this folder has started, itself included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SIGHTLINE_HOME") == str(folder / "home"):
                found.append(process)
        except psutil.Error:  # it has ended, or is another user's
            continue
    return found


def environment_of(fault: Fault, folder: Path, server: str) -> dict[str, str]:
    environment = dict(os.environ)
    for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    environment["SIGHTLINE_HOME"] = str(folder / "home")
    for name, value in fault.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value.replace(SERVER, server)
    return environment


def run(fault: Fault, folder: Path, server: str) -> tuple[int, str, str]:
    words = [word.replace(SERVER, server) for word in fault.words]
    # The shell becomes the command, so that signals reach it.
    script = fault.shell if fault.shell != '"$@"' else 'exec "$@"'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", SIGHTLINE, *words],
        cwd=folder,
        env=environment_of(fault, folder, server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            fault.disturb(process, folder)
            stdout, stderr = process.communicate(timeout=fault.seconds)
        except BaseException:  # with what it has started, which holds its pipes
            for it in processes_of(folder):
                it.kill()
            raise
    return process.returncode, stdout, stderr


def check_fault(fault: Fault, folder: Path) -> None:
    fault.prepare(folder)
    with fault.server() if fault.server else nullcontext("") as server:
        code, stdout, stderr = run(fault, folder, server)
    output = stdout + stderr
    assert code in fault.codes, (code, output)
    assert fault.says in output, output
    assert PYTHON.search(output) is None, output
    assert wait_until(lambda: not processes_of(folder), 30), processes_of(folder)
    if code in (2, 3) and "2>&-" not in fault.shell:
        assert stderr.strip().splitlines()[-1].startswith("sightline: "), output


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if fault.name in QUICK else pytest.mark.full)
        for fault in FAULTS
    ],
    ids=str,
)
def test_a_fault_ends_in_one_line_or_not_at_all(fault: Fault, folder: Path) -> None:
    check_fault(fault, folder)
    listed = invoke("runs", str(folder))
    assert listed.exit_code == 0, listed.stderr
    if fault.leaves_run:
        assert any((folder / "out/predictions").glob("part-*"))
    if fault.again:
        again = Fault("again", fault.words, fault.codes, seconds=fault.seconds)
        code, stdout, stderr = run(again, folder, "")
        assert code == 0, stderr
        assert "64 predicted, 0 failed" in stdout


def test_there_are_enough() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert set(QUICK) <= {fault.name for fault in FAULTS}
