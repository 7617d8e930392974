"""A reader of our output that stops, such as `head`, ends no work and changes no exit code."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


def survive_closed_output() -> None:
    """Let stdout and stderr discard what nobody reads any more; tests replace them before.

    A closed stdin has nothing to read: a question stays without an answer.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _discarding(sys.stdout, 1)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _discarding(sys.stderr, 2)


class _DiscardingFile(io.FileIO):
    """A file whose writes succeed where nobody reads them, and fail once where a disk is full."""

    is_lost = False

    def write(self, content: Any) -> int:
        if self.is_lost:
            return len(content)
        try:
            return super().write(content)
        except OSError as error:
            self.is_lost = True
            if not isinstance(error, BrokenPipeError):
                raise
            return len(content)


def _discarding(stream: TextIO | None, number: int) -> TextIO:
    """The same stream; one that was closed before we started discards everything."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    stream.flush()
    raw: io.RawIOBase = _DiscardingFile(number, "wb", closefd=False)
    file = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        file, stream.encoding, stream.errors, line_buffering=number == 2 or stream.isatty()
    )
