"""A command that is killed leaves no process behind; one that ends leaves its children alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flows.cli import orphan_guard
from tests.support.waiting import PATIENCE

COMMAND = """
import sys
sys.path = [path for path in sys.path if path]  # as the installed command: no working folder
import subprocess, time
from flows.cli.orphan_guard import guard_children
with guard_children():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    time.sleep({seconds})
"""


def start(seconds: int, folder: Path | None = None) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A command that sleeps, and its child that sleeps longer."""
    command = [sys.executable, "-c", COMMAND.format(seconds=seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline()))


def test_children_of_a_killed_command_end() -> None:
    process, child = start(600)
    guards = [
        other
        for other in psutil.Process(process.pid).children()
        if orphan_guard.__file__ in other.cmdline()
    ]
    process.kill()
    process.communicate()
    gone, _ = psutil.wait_procs([child, *guards], timeout=PATIENCE)
    assert len(gone) == 2


def test_a_folder_of_the_users_with_our_names_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "flows/cli").mkdir(parents=True)
    for name in ("flows/__init__.py", "flows/cli/__init__.py", "psutil.py", "contextlib.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'was run')!r}, 'w')")
    process, child = start(600, tmp_path)
    process.kill()
    process.communicate()
    gone, _ = psutil.wait_procs([child], timeout=PATIENCE)
    assert gone
    assert not (tmp_path / "was run").exists()


def test_children_of_a_command_that_ends_are_left_alone() -> None:
    process, child = start(0)
    try:
        assert process.wait(PATIENCE) == 0
        with suppress(psutil.TimeoutExpired):
            child.wait(1)
            pytest.fail("the child was ended")
    finally:
        child.kill()
        process.communicate()
