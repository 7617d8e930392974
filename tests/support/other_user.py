"""The rights of a user who is not root, for whom files can be unreadable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def not_root() -> Iterator[None]:
    """Inside the block, the process has the rights of nobody if it had those of root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
