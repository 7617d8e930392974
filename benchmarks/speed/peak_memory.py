"""The largest memory of this process while something runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class PeakMemory:
    """Resident bytes before, and the most that were seen since."""

    def __init__(self) -> None:
        self.before = self.most = psutil.Process().memory_info().rss


@contextmanager
def track_peak_memory(every: float = 0.01) -> Iterator[PeakMemory]:
    """Sample the resident memory of this process beside the block."""
    process, peak, done = psutil.Process(), PeakMemory(), threading.Event()

    def sample() -> None:
        while not done.wait(every):
            peak.most = max(peak.most, process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
