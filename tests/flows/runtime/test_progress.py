"""Progress is one line on a terminal, and few lines in a log, however long the work takes."""

from __future__ import annotations

import logging

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
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = iter(range(0, 100_000, 5))
    monkeypatch.setattr(progress, "ProgressArtifact", Artifact)
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(progress.log, "propagate", True)
    display = ProgressDisplay("maps of night", "images", Progress(disable=True))
    with caplog.at_level(logging.INFO, "sightline"):
        for done in range(2161):  # three hours
            display.update(done, 2160)
    assert 10 < len(caplog.messages) < 30
    assert caplog.messages[-1].startswith("maps of night: 2160 of 2160 images")
    assert isinstance(display.artifact, Artifact)
    assert display.artifact.updates > 1000
