"""Says where workers are when nothing has come back from them for long, and gives up in the end.

It is mostly the user's own code that waits: for a network, a lock, or for ever.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from distributed import Client, Future

from models.errors import UnfinishedRun, printable
from tasks.execution.cluster import cancel, count_workers

log = logging.getLogger("sightline")

SAID_AFTER = 300.0  # seconds of silence, and again after as many more
LIMIT = 4 * 3600.0  # seconds in which one shard at least must end
FRAME = re.compile(r'File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<function>\S+)')
INSTALLED = ("/site-packages/", "/dist-packages/", "/lib/python")
ROOT = Path(__file__).resolve().parents[2]
OURS = ("models", "tasks")


class SilenceWatch:
    """Watches in a thread; `end_silence` says that something has come back."""

    def __init__(self, client: Client, running: Callable[[], list[Future]]) -> None:
        self.client, self.running = client, running
        self.heard = time.monotonic()
        self.given_up: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def end_silence(self) -> None:
        """Wait anew; raises after the limit, when what was running has been cancelled."""
        if self.given_up is not None:
            raise UnfinishedRun(self.given_up)
        self.heard = time.monotonic()

    def _watch(self) -> None:
        said = self.heard
        while not self._stopped.wait(min(SAID_AFTER, LIMIT) / 10):
            now = time.monotonic()
            if now - self.heard >= LIMIT:
                self.given_up = (
                    f"no shard has ended for {LIMIT:g} s; {self._describe()}: mend what waits; "
                    "what was computed is kept, and the same command continues"
                )
                cancel(self.client, self.running())
                return
            if now - max(said, self.heard) >= SAID_AFTER:
                log.info("no shard has ended for %.0f s; %s", now - self.heard, self._describe())
                said = now

    def _describe(self) -> str:
        """Where the workers' tasks are, each place once."""
        try:
            if not count_workers(self.client):
                return "the cluster has no worker, and waits for one"
            stacks = self.client.call_stack(self.running())
        except Exception:  # of a cluster that does not answer either
            return "the cluster does not say what it does"
        places = {describe_place(frames) for tasks in stacks.values() for frames in tasks.values()}
        return f"workers are {', '.join(sorted(places)) or 'idle'}"


def describe_place(frames: Iterable[str]) -> str:
    """The innermost line of the user's code, or of ours where none of theirs runs."""
    places = list(_places(frames))  # the innermost comes last
    users = [place for place in places if not _is_installed_or_ours(place["path"])]
    if not (users or places):
        return "at no line of Python"
    innermost = (users or places)[-1]
    name = printable(Path(innermost["path"]).name, 60)
    return f"at {name} line {innermost['line']} ({printable(innermost['function'], 60)})"


def _places(frames: Iterable[str]) -> Iterator[re.Match[str]]:
    for frame in frames:
        if match := FRAME.search(frame):
            yield match


def _is_installed_or_ours(path: str) -> bool:
    """Workers elsewhere have our files in other folders: they are known by their relative paths."""
    parts = Path(path).parts
    ours = (ROOT.joinpath(*parts[at:]) for at, part in enumerate(parts) if part in OURS)
    return any(folder in path for folder in INSTALLED) or any(it.is_file() for it in ours)
