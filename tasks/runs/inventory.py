"""The runs under a folder: what state each is in, and how much storage it takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from upath import UPath

from models.addresses import as_path, is_local
from models.errors import DamagedFile, UserError
from tasks.runs.contents import Contents, erase, list_contents
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.runs.state import RunState
from tasks.storage.lock import owner_of
from tasks.storage.parquet import read_footer

log = logging.getLogger("sightline")

State = Literal["running", "finished", "stopped", "damaged"]
MAX_DEPTH = 4  # folders between the one that is searched and a run


@dataclass(frozen=True)
class Entry:
    """One run in a list of them."""

    path: str
    state: State
    images: int | None  # rows of the catalog, None when there is none yet
    done: int  # rows with a prediction
    size: int  # bytes
    model: str
    data: str
    damage: str | None = None  # the first file that cannot be read, and what to do


def find_runs(folder: str) -> Iterator[Entry]:
    """Every run under a folder, the folder itself included."""
    root = as_path(folder)
    if not root.is_dir():
        raise UserError(f"folder {folder} not found: give the folder that contains your runs")
    for run in _find_run_folders(root, MAX_DEPTH):
        yield _describe(run)


def entry_of(folder: str) -> Entry:
    """The run in this folder; refuses a folder that run.json does not identify as a run."""
    run = RunFolder.at(folder)
    run.read_state()
    return _describe(run)


def remove_run(folder: str) -> Contents:
    """Delete a run with all that it wrote; returns what the folder held.

    Refuses a run that is being written. What is not the run's stays, and the folder with it.
    """
    run = RunFolder.at(folder)
    run.read_state()
    owner = owner_of(run.path)
    if owner is not None:
        raise UserError(f"{folder} is being written by {owner.describe()}: stop it first")
    contents = erase(run)
    if is_local(run.path):
        with suppress(OSError):  # not empty
            run.path.rmdir()
    return contents


def _find_run_folders(folder: UPath, depth: int) -> Iterator[RunFolder]:
    run = RunFolder(folder)
    if run.holds_run():
        yield run
    elif depth:
        for inner in _list_folders(folder):
            yield from _find_run_folders(inner, depth - 1)


def _list_folders(folder: UPath) -> list[UPath]:
    try:
        inner = sorted(folder.iterdir(), key=str)
        return [path for path in inner if path.is_dir() and not path.name.startswith(".")]
    except PermissionError:
        log.warning("%s cannot be opened: runs in it are not listed", folder)
        return []


def _describe(run: RunFolder) -> Entry:
    """What can be read of it: damage in one file hides nothing of the others."""
    damage: list[str] = []
    state = _read_state(run, damage)
    images = _count_rows(run.catalog, damage) if run.catalog.is_file() else None
    done = sum(_count_rows(part, damage) or 0 for part in run.parts(PREDICTIONS))
    return Entry(
        path=str(run.path),
        state=_state_of(run, state, is_damaged=bool(damage)),
        images=images,
        done=done,
        size=sum(_size_of(run.path / name) for name in list_contents(run).ours),
        model="" if state is None else state.model_address,
        data="" if state is None else state.data_address,
        damage=damage[0] if damage else None,
    )


def _read_state(run: RunFolder, damage: list[str]) -> RunState | None:
    try:
        return run.read_state()
    except DamagedFile as error:
        damage.append(str(error))
        return None


def _count_rows(path: UPath, damage: list[str]) -> int | None:
    try:
        count: int = read_footer(path).num_rows
    except DamagedFile as error:
        damage.append(str(error))
        return None
    return count


def _size_of(path: UPath) -> int:
    size = 0
    with suppress(FileNotFoundError):  # a run that is being written replaces its files
        size = path.stat().st_size
    return size


def _state_of(run: RunFolder, state: RunState | None, *, is_damaged: bool) -> State:
    if owner_of(run.path) is not None:
        return "running"
    if is_damaged:
        return "damaged"
    return "finished" if state is not None and state.state == "finished" else "stopped"
