"""Progress is one line on a terminal, and few lines in a log, however long the work takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.progress import Progress

from flows.runtime import progress
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
    log = SimpleNamespace(info=lambda text, *values: lines.append(text % values))
    monkeypatch.setattr(progress, "log", log)
    for done in range(2161):  # three hours
        display.update(done, 2160)
    assert 10 < len(lines) < 30
    assert lines[-1].startswith("maps of night: 2160 of 2160 images")
    assert isinstance(display.artifact, Artifact)
    assert display.artifact.updates > 1000
