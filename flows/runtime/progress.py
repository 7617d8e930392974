"""How far long work is: a bar on a terminal, lines in a log, a progress artifact in Prefect."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows.runtime.prefect_server import Artifact
from tasks.execution import dispatch
from tasks.finetune.loop import OnStep

log = logging.getLogger("sightline")

EVERY = 10.0  # seconds between two lines of a log or two updates of the artifact


class Watch:
    """Tells people how far one piece of work is."""

    def __init__(self, what: str, unit: str, bar: Progress) -> None:
        self.what, self.unit, self.bar = what, unit, bar
        self.line = bar.add_task(what, total=None, told="")
        self.start = self.last = time.monotonic()
        self.artifact = Artifact(f"{what}: {unit} done")

    def tell(self, done: int, total: int, free: int = 0, more: str = "") -> None:
        """`done` of `total` so far, `free` of them without work; `more` stands behind."""
        now = time.monotonic()
        rate = (done - free) / max(now - self.start, 1e-9)
        told = f"{rate:.0f} {self.unit}/s {more}"
        self.bar.update(self.line, completed=done, total=total, told=told)
        if now - self.last < EVERY and done < total:
            return
        self.last = now
        self.artifact.tell(100.0 * done / total)
        if self.bar.disable:
            left = f", {(total - done) / rate:.0f} s left" if done < total and rate else ""
            log.info("%s: %d of %d %s, %s%s", self.what, done, total, self.unit, told, left)


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[dispatch.Progress], None]]:
    """Yields what to call when shards are done."""
    with _watch(what, "images") as watch:
        yield lambda progress: watch.tell(progress.done, progress.total, progress.reused)


@contextmanager
def show_steps(what: str) -> Iterator[OnStep]:
    """Yields what to call after each training step: step, steps, the loss and its parts."""
    with _watch(what, "steps") as watch:
        yield lambda step, steps, parts: watch.tell(
            step, steps, more=", ".join(f"{name} {value:.3g}" for name, value in parts.items())
        )


@contextmanager
def show_pictures(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call when pictures are read."""
    with _watch(what, "images") as watch:
        yield watch.tell


@contextmanager
def _watch(what: str, unit: str) -> Iterator[Watch]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    silent = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=silent) as bar:
        watch = Watch(what, unit, bar)
        try:
            yield watch
        finally:
            watch.artifact.close()
