"""The runs that an explorer shows, and what it keeps of them in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tasks.query.database import ImageDatabase, open_images
from tasks.query.filters import SPACES, Space
from tasks.query.views import Views
from tasks.runs.reader import Run
from tasks.runs.stages import FEATURES


@dataclass(frozen=True)
class OpenedRuns:
    """A run, beside the run before where two are compared."""

    run: Run
    before: Run | None
    database: ImageDatabase
    views: Views
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, run: Run, before: Run | None) -> OpenedRuns:
        database = open_images(run, before)
        return cls(run, before, database, Views(database))

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Those that a plot can show: the run has features."""
        return SPACES if self.run.folder.stage(FEATURES).is_dir() else ()
