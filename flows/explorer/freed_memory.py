"""Memory that a long-lived server gives back to the system."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's options
LARGE = 1 << 17  # bytes: glibc's own first choice, which it raises with each block that is freed


def return_freed_memory() -> None:
    """Let large blocks go back to the system when they are freed, where glibc has them.

    By itself it keeps them for the thread that had them. Each question to an explorer makes some,
    in one of many threads: after 2,000 of 50,000 images a gigabyte was kept that nobody used.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, LARGE)
