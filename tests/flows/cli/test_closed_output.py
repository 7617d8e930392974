"""Output that nobody reads, or that no disk holds: the exit code is still that of the work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tasks.runs.folder import RunFolder
from tests.support.command_line import SIGHTLINE


def exit_code(redirected: str, *words: str) -> tuple[int, str]:
    """Of the command with its output so redirected by a shell; and what it said on stderr."""
    line = f'"$@" {redirected}'
    done = subprocess.run(
        ["bash", "-c", line, "bash", SIGHTLINE, *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def to_closed_pipe(*words: str) -> tuple[int, str]:
    """Of the command whose stdout is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [SIGHTLINE, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


def test_a_closed_stdout_changes_no_exit_code(finished_run: RunFolder, tmp_path: Path) -> None:
    shown = ("show", str(finished_run.path))
    missing = ("show", str(tmp_path / "nowhere"))
    assert to_closed_pipe(*shown) == (0, "")
    assert exit_code(">&-", *shown) == (0, "")
    for code, said in (to_closed_pipe(*missing), exit_code(">&-", *missing)):
        assert code == 2
        assert said.count("\n") == 1
        assert said.startswith("sightline: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_one_line(finished_run: RunFolder) -> None:
    code, said = exit_code(">/dev/full", "show", str(finished_run.path))
    assert code == 3
    assert "No space left on device" in said
    assert said.count("\n") == 1
