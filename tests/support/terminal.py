"""A command in a pseudo-terminal, where Ctrl-C reaches its process group, as a user's does."""

from __future__ import annotations

import os
import pty
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.waiting import PATIENCE, wait_until

CTRL_C = b"\x03"
CONTROL = re.compile(r"\^C|\x1b\[[\d;?]*[A-Za-z]")


class Terminal:
    """A running command, and what it has printed."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], list(command), environment)
        self.printed = b""
        self.code: int | None = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def text(self) -> str:
        return self.printed.decode(errors="replace").replace("\r", "")

    @property
    def last_line(self) -> str:
        """Without the echo of the keys, and what clears a line of progress."""
        return CONTROL.sub("", self.text.strip().splitlines()[-1])

    def press_ctrl_c(self) -> None:
        os.write(self.screen, CTRL_C)

    def wait(self, seconds: float = PATIENCE) -> float:
        """Wait until the command has ended; returns after how many seconds, at most these."""
        start = time.monotonic()
        assert wait_until(self.has_ended, seconds), self.text
        self.reader.join(5)
        return time.monotonic() - start

    def has_ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def _read(self) -> None:
        with suppress(OSError):  # the last process has left the terminal
            while chunk := os.read(self.screen, 1 << 16):
                self.printed += chunk


@contextmanager
def in_terminal(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    terminal = Terminal(command, folder, environment)
    try:
        yield terminal
    finally:
        if not terminal.has_ended():
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        os.close(terminal.screen)


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """Those whose environment has this value: what a command started inherits it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(name) == value and process.status() != "zombie":
                found.append(process)
    return found
