"""Stdout is for results: a user's code, a library or a child process may print anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

STDOUT, STDERR = 1, 2


@contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Whatever is printed inside the block, by any language and any child, goes to stderr."""
    output: object = sys.stdout
    if output is None:  # it was closed before the start: its number may be another file's
        yield
        return
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, STDOUT)
        os.close(kept)
