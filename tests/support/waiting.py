"""Waiting for what another process or thread does, without a clock that a busy machine beats."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 300.0  # seconds for what takes a few on a quiet machine: who waits longer, hangs


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait for the condition; False when patience has ended."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False
