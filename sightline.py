"""Sightline in Python: `import sightline`, then `sightline.open_run("runs/look")`.

A project may have modules of its own that are called `tasks` or `models`, as our packages are. So
ours are loaded from beside this file, and leave these names to the project.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from flows.notebook.image_figure import ImageFigure, ImageFigures

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("flows", "tasks", "models", "reports")
_hidden: dict[str, ModuleType] = {}  # our modules, while the project's have their names
_one_at_a_time = RLock()


@contextmanager
def _our_packages() -> Iterator[None]:
    """Inside the block, and in the function that it decorates, our packages are imported by their
    names; the project's modules of these names, loaded or not, have them again afterwards."""
    with _one_at_a_time:
        shared = any(_is_projects(name) for name in PACKAGES)
        projects = _take_out() if shared else {}
        sys.modules.update(_hidden)  # the same ones each time: a second copy has other classes
        sys.path.insert(0, str(FOLDER))
        try:
            yield
        finally:
            sys.path.remove(str(FOLDER))
            if shared:
                _hidden.update(_take_out())
                sys.modules.update(projects)


def _is_projects(name: str) -> bool:
    """Does the name mean a module of the project?"""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that code has made
        return True
    if spec is None:
        return False
    folders = list(spec.submodule_search_locations or [])
    return [Path(folder).resolve() for folder in folders] != [FOLDER / name]


def _take_out() -> dict[str, ModuleType]:
    """Take every module that has one of our names out of Python's table."""
    names = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    return {name: sys.modules.pop(name) for name in names}


with _our_packages():
    from models.errors import UserError
    from tasks.runs.reader import Run as RunReader


class Run(RunReader):
    """A run folder, to read: `frame()` has its images, `tables()` names what else there is."""

    @_our_packages()
    def frame(
        self,
        kind: Literal["pandas", "polars", "arrow"] = "pandas",
        *,
        table: str = "images",
        columns: Sequence[str] | None = None,
        method: str | None = None,
    ) -> Any:
        """A table of the run as a data frame; `columns` reads these alone, and `method` the rows of
        one method, where the table has some by method."""
        from flows.notebook.data_frames import as_frame
        from flows.notebook.run_tables import read_run_table

        return as_frame(read_run_table(self, table, columns, method), kind)

    @_our_packages()
    def flagged(
        self,
        *,
        label: str | None = None,
        prediction: str | None = None,
        kind: Literal["pandas", "polars", "arrow"] = "pandas",
        columns: Sequence[str] | None = None,
    ) -> Any:
        """The images whose prediction rests on the background, the highest score first; of all
        classes, or of one."""
        from flows.notebook.data_frames import as_frame
        from flows.notebook.flagged_images import flagged_images

        of_classes = {"label": label, "prediction": prediction}
        return as_frame(flagged_images(self, of_classes, columns), kind)

    @_our_packages()
    def tables(self) -> Any:
        """Every table that `frame` gives, and what a row of it is."""
        from flows.notebook.described_tables import table_list

        return table_list()

    @_our_packages()
    def columns(self, table: str = "images") -> Any:
        """The columns of a table: their name, their kind and what they mean."""
        from flows.notebook.described_tables import column_list

        return column_list(self, table)

    @_our_packages()
    def show(self, row_id: str, method: str | None = None) -> ImageFigure:
        """An image with its foreground, its map and what the audit changed in it, for a notebook
        to display; the map is that of the flags' method where none is named."""
        return self._figures.figure(row_id, method)

    @cached_property
    def _figures(self) -> ImageFigures:
        from flows.notebook.image_figure import ImageFigures

        return ImageFigures(self)

    @_our_packages()
    def _repr_html_(self) -> str:
        from flows.notebook.run_overview import run_overview

        return run_overview(self)

    def __repr__(self) -> str:
        return f"sightline.open_run({str(self.folder.path)!r})"


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run to read; refuses a folder that is not a run folder."""
    return Run.at(path)


__all__ = ["Run", "UserError", "open_run"]
