"""Progress is one line on a terminal, and few lines in a log, however long the work takes."""

from __future__ import annotations

import io
import logging
import re
import sys
from types import SimpleNamespace

import pytest
from rich.progress import Progress

from flows.runtime import prefect_server, progress
from flows.runtime.prefect_server import ProgressArtifact
from flows.runtime.progress import ProgressDisplay


class Artifact:
    """In the place of Prefect's."""

    def __init__(self, _: str) -> None:
        self.updates = 0

    def update(self, _: float) -> None:
        self.updates += 1


def test_a_log_has_few_lines_of_long_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter(range(0, 100_000, 5))
    monkeypatch.setattr(progress, "ProgressArtifact", Artifact)
    clock = SimpleNamespace(monotonic=lambda: float(next(seconds)))
    monkeypatch.setattr(progress, "time", clock)
    display = ProgressDisplay("maps of night", "images", Progress(disable=True))
    lines: list[str] = []
    log = SimpleNamespace(info=lambda text, *values, extra: lines.append(text % values))
    monkeypatch.setattr(progress, "log", log)
    for done in range(2161):  # three hours
        display.update(done, 2160)
    assert 10 < len(lines) < 30
    assert lines[-1] == "maps of night: 2160 of 2160 images, 0.2 images/s"
    assert isinstance(display.artifact, Artifact)
    assert display.artifact.updates > 1000


def test_what_is_reused_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    log = SimpleNamespace(info=lambda text, *values, extra: lines.append(text % values))
    monkeypatch.setattr(progress, "log", log)
    monkeypatch.setattr(progress, "ProgressArtifact", Artifact)
    ProgressDisplay("maps of night", "images", Progress(disable=True)).update(80, 80, 80)
    assert lines == ["maps of night: 80 of 80 images, reused"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_the_log_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    handler = logging.StreamHandler(terminal)
    monkeypatch.setattr(progress, "ProgressArtifact", Artifact)
    monkeypatch.setattr(Artifact, "close", lambda _: None, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress.log, "handlers", [handler])
    monkeypatch.setattr(progress.log, "level", logging.INFO)
    monkeypatch.setenv("TERM", "xterm")
    with progress.show_pictures("maps of night") as show:
        show(1, 8)
        progress.log.info("about 7 s of work")
        show(8, 8)
    assert re.search(r"(\x1b\[2K|\n)about 7 s of work *\n", terminal.getvalue())
    assert handler.stream is terminal


def test_outside_of_a_flow_no_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is no flow would start one, and wait for it."""

    def ask(**_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(prefect_server, "create_progress_artifact", ask)
    artifact = ProgressArtifact("patterns: trials done")
    artifact.update(50.0)
    artifact.close()
    assert artifact.thread.ident is None
