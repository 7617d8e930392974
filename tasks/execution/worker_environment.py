"""What worker processes find in their environment from their first moment on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dask

# Dask returns the memory of every freed tensor to the system at once, and the next batch allocates
# it again: with these, a worker keeps up to half a GiB and computes 1.4 times as fast.
ENVIRONMENT = {
    "PYTHONSAFEPATH": "1",  # no worker imports what lies in the working folder
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
}


@contextmanager
def environment_as_found() -> Iterator[None]:
    """Undo what Dask sets for its workers in the environment of this process, from which they
    inherit it, and whatever is started later would, too."""
    names = {*dask.config.get("distributed.nanny.pre-spawn-environ"), "PYTHONHASHSEED"}
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
