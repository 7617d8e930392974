"""What a server frees goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Blocks of growing size, each freed before the next: glibc raises its limit with each of them and
# keeps the last ones, in the arena of the thread that had them.
PROGRAM = """
import threading
import numpy as np
from pathlib import Path
from flows.explorer.freed_memory import return_freed_memory

def use():
    for size in range(1, 25):
        np.ones(size << 17).sum()
    kept = [np.ones(1 << 17) for _ in range(40)]
    small = [np.ones(10) for _ in range(1000)]
    del kept
    used.wait()
    done.wait()

def held():
    line = next(it for it in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in it)
    return int(line.split()[1]) / 1000

if {returns}:
    return_freed_memory()
before, used, done = held(), threading.Barrier(7), threading.Event()
threads = [threading.Thread(target=use) for _ in range(6)]
for thread in threads:
    thread.start()
used.wait()
print(held() - before)
done.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the options are glibc's")
def test_large_blocks_are_returned_when_they_are_freed() -> None:
    kept, returned = (megabytes_after(returns) for returns in (False, True))
    assert returned < 20
    assert returned < kept / 3


def megabytes_after(returns: bool) -> float:
    program = PROGRAM.replace("{returns}", str(returns))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)
