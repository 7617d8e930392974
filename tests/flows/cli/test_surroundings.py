"""Commands in a working folder that is gone, and without a home that can be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.runs.folder import RunFolder
from tests.support.command_line import check_refused, invoke

COMMANDS = (
    ("show", "run"),
    ("runs",),
    ("compare", "a", "b"),
    ("remove", "run", "--yes"),
    ("policy", "check", "policy.toml"),
    ("audit", "--data", "d", "--model", "m", "--out", "run"),
    ("demo",),
    ("publish", "run"),
)


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_working_folder_that_is_gone_is_said(words: tuple[str, ...]) -> None:
    check_refused(invoke(*words), 2, "the working folder is gone: change to one that exists")


@pytest.mark.parametrize("home", [None, "/proc", "/nowhere", "/dev/null"])
def test_reading_a_run_needs_no_home(
    finished_run: RunFolder, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setitem(os.environ, "HOME", home)
    assert invoke("show", str(finished_run.path)).exit_code == 0
    assert invoke("runs", str(finished_run.path)).exit_code == 0
