"""A command that is killed leaves no process behind.

Prefect's own server is a child that outlives a parent killed with SIGKILL. So a command has a
warden: a process that waits for the end of a pipe which nobody but the command holds open, and
then ends what the command started, which it knows by a mark in the environment.
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
BYE = b"bye"  # of a command that ends by itself, and whose children do too


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Whatever kills this process inside the block, its children end with it."""
    if MARK in os.environ:  # inside of another command's block
        yield
        return
    mark = os.environ[MARK] = uuid4().hex
    warden = subprocess.Popen(
        # This file, and no `flows` or `psutil.py` of the folder that the user stands in.
        [sys.executable, "-P", __file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C on the terminal is not for it
    )
    try:
        yield
    finally:
        del os.environ[MARK]
        warden.communicate(BYE)


def _end(mark: str) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # gone meanwhile, or somebody else's
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()


if __name__ == "__main__":
    if sys.stdin.buffer.read() != BYE:
        _end(sys.argv[1])
