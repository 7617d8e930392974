"""The plot of a run's features: points, or how dense they lie where there are too many."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.explorer.requests import Nearby, Plot
from models.errors import UserError
from tasks.query.database import ImageDatabase
from tasks.query.filters import SPACES, Space, find_column
from tasks.query.views import Views
from tasks.runs.reader import Run

MOST_POINTS = 50_000  # that a page draws one by one
SIDE = 256  # of the density, in cells
FINENESS = (1 << 16) - 1  # of coordinates as the page gets them

log = logging.getLogger("sightline")

Points = NDArray[np.float32]


@dataclass(frozen=True)
class RunPlot:
    """Coordinates of a run's images, (N, 2) of each space; computed when they are first asked."""

    run: Run
    views: Views
    _points: dict[Space, Points] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def database(self) -> ImageDatabase:
        return self.views.database

    def prepare(self) -> None:
        """Read the coordinates, or compute them, and add them to the table of images."""
        with self._lock:
            if self._points:
                return
            from tasks.explorer.projection import coordinates

            log.info("laying out the plot of %s", self.run.folder.path)
            table = coordinates(self.run)
            if not table["row_id"].equals(self.views.row_ids()):
                raise UserError(
                    f"{self.run.folder.path} has other images than when it was opened: start "
                    "`sightline open` again"
                )
            self.database.add_coordinates(table, SPACES)
            self._points.update({space: _points(table, space) for space in SPACES})

    def draw(self, asked: Plot) -> dict[str, Any]:
        """Points with their colours, or a density picture."""
        point_N2 = self._space(asked.space)
        chosen = self.views.chosen(asked.filter)
        rows = np.flatnonzero(chosen & np.isfinite(point_N2).all(1))
        counts = {"total": len(rows), "missing": int(chosen.sum()) - len(rows)}
        if len(rows) > MOST_POINTS:
            return {**counts, "density": _density(point_N2[rows])}
        x, y = (np.rint(point_N2[rows] * FINENESS).astype(int).T).tolist()
        points = {"x": x, "y": y, "row": rows.tolist(), "colour": [0] * len(rows)}
        colours: list[str | float | None] = []
        if asked.colour is not None:
            colours, code_N = self._colours(asked.colour)
            points["colour"] = code_N[rows].tolist()
        return {**counts, "points": points, "colours": colours}

    def _colours(self, name: str) -> tuple[list[str | float | None], NDArray[Any]]:
        """A column's values, or where bins of its numbers start, and which of them each image has.

        The last, None, is of images without a value.
        """
        if find_column(self.database.columns, name).kind == "number":
            bins = self.views.bins(name)
            return [*bins.starts, None], bins.code_N
        values = self.views.values(name)
        return [*values.values, None], values.one_each(self.database.rows)

    def nearest(self, asked: Nearby) -> dict[str, Any]:
        """The image of a filter whose point is nearest."""
        point_N2 = self._space(asked.space)
        far_N = np.square(point_N2 - (asked.x, asked.y)).sum(1)
        far_N[~self.views.chosen(asked.filter) | np.isnan(far_N)] = np.inf
        row = int(far_N.argmin())
        if not np.isfinite(far_N[row]):
            raise UserError("no image of this selection is on the plot")
        (found,) = self.views.rows([row], ["row_id"])
        return {"row_id": found["row_id"]}

    def _space(self, space: Space) -> Points:
        self.prepare()
        return self._points[space]


def _points(table: Any, space: Space) -> Points:
    x, y = (table[f"{space}_{axis}"].to_numpy() for axis in "xy")
    return np.stack([x, y], 1).astype(np.float32)


def _density(point_n2: Points) -> dict[str, Any]:
    """Counts of a square grid, from the top row."""
    x, y = point_n2.T
    counts, _, _ = np.histogram2d(1 - y, x, bins=SIDE, range=[[0, 1], [0, 1]])
    return {"side": SIDE, "counts": counts.astype(int).ravel().tolist()}
