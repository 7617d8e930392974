"""A command that is killed leaves no process behind.

Prefect's own server is a child that outlives a parent killed with SIGKILL. So a command has a
guard: a process that waits for the end of a pipe that only the command holds open, and then kills
what the command started, which it recognises by a mark in the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psutil

MARK = "SIGHTLINE_COMMAND"
DONE = b"done"  # from a command that ends by itself, as its children will


@contextmanager
def guard_children() -> Iterator[None]:
    """Whatever kills this process inside the block, its children end with it."""
    if MARK in os.environ:  # inside of another command's block
        yield
        return
    mark = os.environ[MARK] = uuid4().hex
    guard = subprocess.Popen(
        # By its path and with -P: the working folder may have a `flows` or `psutil.py` of its own.
        [sys.executable, "-P", __file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C on the terminal must not reach it
    )
    try:
        yield
    finally:
        del os.environ[MARK]
        guard.communicate(DONE)


def _kill_marked(mark: str) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()


if __name__ == "__main__":
    if sys.stdin.buffer.read() != DONE:
        _kill_marked(sys.argv[1])
