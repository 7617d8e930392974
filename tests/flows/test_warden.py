"""A command that is killed leaves no process behind; one that ends leaves its children alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

COMMAND = """
import subprocess, sys, time
from flows.warden import nothing_left_behind
with nothing_left_behind():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep({seconds})
"""


def started(seconds: int) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A command that sleeps, and its child that sleeps longer."""
    command = [sys.executable, "-c", COMMAND.format(seconds=seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline()))


def test_children_of_a_killed_command_end() -> None:
    process, child = started(60)
    wardens = [
        other
        for other in psutil.Process(process.pid).children()
        if "flows.warden" in other.cmdline()
    ]
    process.kill()
    process.communicate()
    gone, _ = psutil.wait_procs([child, *wardens], timeout=10)
    assert len(gone) == 2


def test_children_of_a_command_that_ends_are_left_alone() -> None:
    process, child = started(0)
    try:
        assert process.wait(20) == 0
        with suppress(psutil.TimeoutExpired):
            child.wait(1)
            pytest.fail("the child was ended")
    finally:
        child.kill()
        process.communicate()
