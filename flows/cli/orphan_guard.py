"""A command that is killed leaves no process behind.

Prefect's own server is a child that outlives a parent killed with SIGKILL. So a command has a
guard: a process that waits until a pipe closes that only the command holds open, and then kills
what the command started, which it recognises by a mark in the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

MARK = "SIGHTLINE_COMMAND"
DONE = b"done"  # sent by a command that ends by itself, as its children will


@contextmanager
def guard_children() -> Iterator[None]:
    """However this process is killed inside the block, its children end with it."""
    if MARK in os.environ:  # inside another command's block
        yield
        return
    mark = os.environ[MARK] = uuid4().hex
    guard = subprocess.Popen(
        # By path and with -P: the working folder may have its own `flows` or `psutil.py`.
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
    import psutil  # not in every command

    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()


if __name__ == "__main__":
    if sys.stdin.buffer.read() != DONE:
        _kill_marked(sys.argv[1])
