"""The run folder: its files, its state, and how others read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.runs.reader import Run


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run to read; refuses a folder that is not a run folder."""
    from tasks.runs.reader import Run  # settings of this package are read without pyarrow

    return Run.at(path)
