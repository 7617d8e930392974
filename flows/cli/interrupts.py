"""Ctrl-C and SIGTERM: a command ends within seconds, with the line that says how to continue.

It gets a few seconds to end by itself: to cancel its work, to report the end of its flow, to
withdraw its lock. Then it ends at once, as it does on a second Ctrl-C: parts are renamed into
place whole, and the guard kills the children (flows/cli/orphan_guard.py).
"""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from flows.runtime.log_lines import last_line
from models.addresses import remove_secrets
from models.errors import Stopped

GRACE = 4.0  # seconds
CODE = 3  # of a run that could not finish
_stopping = threading.Event()
_told = threading.Event()


def handle_interrupts() -> None:
    """Let both signals raise Stopped, and end the process if that does not."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def _stop(_: int, __: FrameType | None) -> None:
    if _stopping.is_set():
        end_now()
    _stopping.set()
    timer = threading.Timer(GRACE, end_now)
    timer.daemon = True
    timer.start()
    raise Stopped


def end_now() -> None:
    """End this process without waiting for anything, with the line if it was not printed yet."""
    if not _told.is_set():
        line = last_line(describe_stop(), CODE)
        os.write(2, f"\n{line}\n".encode(errors="replace"))
    os._exit(CODE)


def end_without_threads() -> None:
    """End a command that has done its work, under whose threads Python's own end would crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@atexit.register
def _end_stopped() -> None:
    """Last of what runs at the end, since registered first: leave the threads that still compute,
    under which Python's own end would crash."""
    if _stopping.is_set():
        end_now()


def describe_stop() -> str:
    """The last line; it is printed once."""
    _told.set()
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = remove_secrets(shlex.join(words))
    return f"stopped; what was computed is kept, and the same command continues: {command}"
