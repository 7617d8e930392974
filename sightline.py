"""Sightline in Python: `import sightline`, then `sightline.open_run("runs/look")`.

A project may have modules of its own that are called `tasks` or `models`, as our packages are. So
ours are loaded from beside this file, and leave these names to the project.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("flows", "tasks", "models", "reports")


@contextmanager
def _our_packages() -> Iterator[None]:
    """Inside the block our packages are imported by their names; the project's modules of these
    names, loaded or not, have them again afterwards."""
    shared = any(_is_projects(name) for name in PACKAGES)
    projects = _take_out() if shared else {}
    sys.path.insert(0, str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))
        if shared:
            _take_out()
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
    from tasks.runs.reader import Run


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run to read; refuses a folder that is not a run folder."""
    return Run.at(path)


__all__ = ["Run", "UserError", "open_run"]
