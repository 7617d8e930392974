"""Progress of long work: a bar on a terminal, lines in a log, an artifact in Prefect."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows.runtime.log_lines import writes_json
from flows.runtime.prefect_server import ProgressArtifact
from reports.visible_text import visible

if TYPE_CHECKING:  # these load torch, which progress does without
    from tasks.execution import shard_queue
    from tasks.finetune.loop import OnStep

log = logging.getLogger("sightline")

INTERVAL = 10.0  # seconds between updates of the artifact, and until the first line of a log
LONGEST_PAUSE = 600.0  # seconds between lines of a log: each pause is twice the one before


class ProgressDisplay:
    """The progress of one piece of work, wherever it is shown."""

    def __init__(self, what: str, unit: str, bar: Progress) -> None:
        self.what, self.unit, self.bar = visible(what), unit, bar
        self.line = bar.add_task(self.what, total=None, detail="")
        self.start = self.updated = self.logged = time.monotonic()
        self.pause = INTERVAL  # until the next line of a log
        self.artifact = ProgressArtifact(f"{self.what}: {unit} done")

    def update(self, done: int, total: int, reused: int = 0, more: str = "") -> None:
        """Show `done` of `total`, `reused` of which took no work; `more` is appended."""
        now = time.monotonic()
        rate = (done - reused) / max(now - self.start, 1e-9)
        speed = "reused" if 0 < done == reused else f"{rate:.{rate < 10:d}f} {self.unit}/s"
        detail = ", ".join(filter(None, (speed, more)))
        self.bar.update(self.line, completed=done, total=total, detail=detail)
        if now - self.updated >= INTERVAL or done >= total:
            self.updated = now
            self.artifact.update(100.0 * done / total)
        if self.bar.disable and (now - self.logged >= self.pause or done >= total):
            self.logged, self.pause = now, min(2 * self.pause, LONGEST_PAUSE)
            left = f", {(total - done) / rate:.0f} s left" if done < total and rate else ""
            facts = {self.unit: done, "total": total, "seconds": round(now - self.start, 1)}
            words = (self.what, done, total, self.unit, detail, left)
            log.info("%s: %d of %d %s, %s%s", *words, extra=facts)


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[shard_queue.Progress], None]]:
    """Yields a function that shows the progress of the shards."""
    with _display(what, "images") as display:
        yield lambda progress: display.update(progress.done, progress.total, progress.reused)


@contextmanager
def show_steps(what: str) -> Iterator[OnStep]:
    """Yields a function to call after each step with its number, all steps and the loss by part."""
    with _display(what, "steps") as display:
        yield lambda step, steps, parts: display.update(
            step, steps, more=", ".join(f"{name} {value:.3g}" for name, value in parts.items())
        )


@contextmanager
def show_pictures(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the number of pictures read and that of all."""
    with _display(what, "images") as display:
        yield display.update


@contextmanager
def show_trials(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the number of patterns' trials done and that of all."""
    with _display(what, "trials") as display:
        yield display.update


@contextmanager
def _display(what: str, unit: str) -> Iterator[ProgressDisplay]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeRemainingColumn(),
    )
    is_read = sys.stderr.isatty() and not writes_json()
    silent = not (is_read and log.isEnabledFor(logging.INFO))
    console, stderr = Console(stderr=True), sys.stderr
    with (
        Progress(*columns, console=console, disable=silent, transient=True) as bar,
        _log_above_bar(stderr),
    ):
        display = ProgressDisplay(what, unit, bar)
        try:
            yield display
        finally:
            display.artifact.close()


@contextmanager
def _log_above_bar(stderr: TextIO) -> Iterator[None]:
    """While a bar is drawn, sys.stderr writes above it: our log's lines go there, too."""
    streams = [it for it in log.handlers if isinstance(it, logging.StreamHandler)]
    handlers = [it for it in streams if it.stream is stderr]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(stderr)
