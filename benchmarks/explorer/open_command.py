"""The command `sightline open` as a process of its own, ended as a user ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from flows.cli import main; main()", "open", "--no-browser")
SAID = ("reading the images", "the explorer runs until Ctrl-C", "laying out the plot")
PATIENCE = 300  # seconds


@dataclass
class OpenExplorer:
    """A server that answers."""

    process: subprocess.Popen[str]
    address: str
    seconds: float  # from the start of the command to its address
    log: Path

    def complaints(self) -> list[str]:
        """What its log says beside what it always says."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith(SAID)]

    def end(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def open_explorer(folder: Path, *runs: Path) -> Iterator[OpenExplorer]:
    """`sightline open RUN [BEFORE]`; its log is kept in the folder."""
    log = folder / "explorer.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, runs)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout as output:
        try:
            address = output.readline().strip()
            seconds = time.perf_counter() - start
            assert address, log.read_text(encoding="utf-8")
            yield OpenExplorer(process, address, seconds, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
