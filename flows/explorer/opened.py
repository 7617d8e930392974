"""The runs that an explorer shows, and what it keeps of them in memory."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from flows.explorer.plot import RunPlot
from models.errors import NotComparable, UserError
from tasks.query.columns import BEFORE, COMPARED
from tasks.query.database import ImageDatabase, open_images
from tasks.query.filters import SPACES, Filter, Space
from tasks.query.views import Views
from tasks.runs.reader import Run
from tasks.runs.rows import RunRows
from tasks.runs.stages import FEATURES
from tasks.scenarios.figures import AuditedImages

if TYPE_CHECKING:
    from tasks.explorer.pictures import Pictures
    from tasks.explorer.row_details import DetailsReader, RowDetails

Side = Literal["now", "before"]


@dataclass(frozen=True)
class OneRun:
    """A run's images, one at a time. What draws them takes seconds to import, and nobody waits."""

    run: Run

    @cached_property
    def pictures(self) -> Pictures:
        from tasks.explorer.pictures import Pictures

        return Pictures(self.rows)

    @cached_property
    def details(self) -> DetailsReader:
        from tasks.explorer.row_details import DetailsReader

        return DetailsReader(self.rows)

    @cached_property
    def rows(self) -> RunRows:
        return RunRows(self.run)


@dataclass(frozen=True)
class OpenedRuns:
    """A run, beside the run before where two are compared."""

    now: OneRun
    before: OneRun | None
    database: ImageDatabase
    views: Views
    plot: RunPlot

    @classmethod
    def of(cls, run: Run, before: Run | None) -> OpenedRuns:
        database = open_images(run, before)
        if before is not None:
            _check_images_in_common(database, run, before)
        earlier = None if before is None else OneRun(before)
        views = Views(database)
        opened = cls(OneRun(run), earlier, database, views, RunPlot(run, views))
        threading.Thread(target=opened._prepare, daemon=True).start()
        return opened

    def _prepare(self) -> None:
        """What the first questions would wait for; they say what cannot be had."""
        self.views.prepare()
        for side in filter(None, (self.now, self.before)):
            with suppress(UserError, OSError):
                _ = side.pictures, side.details
        if self.before is None:
            with suppress(UserError, OSError):  # such as a run that is deleted already
                self.database.keep(self.now.run)

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

    @cached_property
    def audited(self) -> AuditedImages:
        """What figures of any images are computed from; refuses a run that is not finished."""
        for run in self.runs:
            run.summary()
        return AuditedImages.of(self.database, *self.runs)

    def prepare(self, chosen: Filter) -> None:
        """What a filter stands on: a lasso needs the plot's coordinates."""
        if chosen.spaces:
            self.plot.prepare()

    def details(self, row_id: str) -> RowDetails:
        """Everything of one image, in both runs where the run before has it."""
        number = self.views.row_number(row_id)
        (values,) = self.views.rows([number], self.database.columns)
        del values["row"]
        earlier = self.before
        then = None
        if earlier is not None and earlier.rows.has(row_id):
            compared = {name: values[BEFORE + name] for name in COMPARED if BEFORE + name in values}
            then = earlier.details.read(row_id, compared)
        return self.now.details.read(row_id, values, then)


def _check_images_in_common(database: ImageDatabase, run: Run, before: Run) -> None:
    """Refuse two runs that there is nothing to compare of: nothing would be shown of the other."""
    compared = [BEFORE + name for name in COMPARED if BEFORE + name in database.columns]
    known = " OR ".join(f"{database.names[name]} IS NOT NULL" for name in compared) or "false"
    if database.query(f"SELECT 1 FROM images WHERE {known} LIMIT 1").fetchone() is None:
        raise NotComparable(
            f"no image of {run.folder.path} is in {before.folder.path} under the same row id: give "
            "two audits of the same data"
        )
