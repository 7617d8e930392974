"""Ctrl-C in a terminal reaches the worker processes, too: it is for the command, which ends them.

Dask loads this in each local worker (tasks/execution/cluster.py).
"""

from __future__ import annotations

import signal

from distributed import Worker


def dask_setup(worker: Worker) -> None:
    """Else each prints a traceback. Called in the main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
