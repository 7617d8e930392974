"""The runs that an explorer shows, and what it keeps of them in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from models.errors import UserError
from tasks.explorer.pictures import Pictures
from tasks.explorer.row_details import DetailsReader, RowDetails
from tasks.query.database import ImageDatabase, open_images
from tasks.query.filters import SPACES, Space
from tasks.query.views import Views
from tasks.runs.reader import Run
from tasks.runs.rows import RunRows
from tasks.runs.stages import FEATURES

Side = Literal["now", "before"]


@dataclass(frozen=True)
class OneRun:
    """A run's images, one at a time."""

    run: Run
    pictures: Pictures
    details: DetailsReader

    @classmethod
    def of(cls, run: Run) -> OneRun:
        rows = RunRows(run)
        return cls(run, Pictures(rows), DetailsReader(rows))

    def has(self, row_id: str) -> bool:
        return self.details.rows.has(row_id)


@dataclass(frozen=True)
class OpenedRuns:
    """A run, beside the run before where two are compared."""

    now: OneRun
    before: OneRun | None
    database: ImageDatabase
    views: Views
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, run: Run, before: Run | None) -> OpenedRuns:
        database = open_images(run, before)
        earlier = None if before is None else OneRun.of(before)
        return cls(OneRun.of(run), earlier, database, Views(database))

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(it.run for it in (self.now, self.before) if it is not None)

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """Those that a plot can show: the run has features."""
        return SPACES if self.now.run.folder.stage(FEATURES).is_dir() else ()

    def side(self, name: Side) -> OneRun:
        """One of the two; refuses a run before where none is compared."""
        found = self.now if name == "now" else self.before
        if found is None:
            raise UserError("there is no run before: sightline open RUN BEFORE compares two")
        return found

    def details(self, row_id: str) -> RowDetails:
        """Everything of one image, in both runs where the run before has it."""
        number = self.views.row_number(row_id)
        (values,) = self.views.rows([number], self.database.columns)
        del values["row"]
        earlier = self.before
        then = None
        if earlier is not None and earlier.has(row_id):
            then = earlier.details.read(row_id, {})
        return self.now.details.read(row_id, values, then)
