"""The runs under a folder: what state each is in, and how much storage it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from upath import UPath

from models.addresses import as_path, is_local
from models.errors import RunFolderError, UserError
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.runs.state import RunState
from tasks.storage.lock import owner_of
from tasks.storage.parquet import read_footer

State = Literal["running", "finished", "stopped"]
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


def find_runs(folder: str) -> Iterator[Entry]:
    """Every run under a folder, the folder itself included."""
    root = as_path(folder)
    if not root.is_dir():
        raise UserError(f"folder {folder} not found: give the folder that contains your runs")
    for run in _find_run_folders(root, MAX_DEPTH):
        yield _describe(run)


def entry_of(folder: str) -> Entry:
    """The run in this folder; refuses a folder that is not a run."""
    return _describe(_find_run(folder))


def remove_run(folder: str) -> None:
    """Delete a run with all that it wrote; refuses one that is being written."""
    run = _find_run(folder)
    owner = owner_of(run.path)
    if owner is not None:
        raise UserError(f"{folder} is being written by {owner.describe()}: stop it first")
    run.erase()
    if is_local(run.path):
        with suppress(OSError):  # the folder stays when it contains files that are not ours
            run.path.rmdir()


def _find_run(folder: str) -> RunFolder:
    run = RunFolder.at(folder)
    if not run.holds_run():
        run.read_state()  # raises, with the reason
    return run


def _find_run_folders(folder: UPath, depth: int) -> Iterator[RunFolder]:
    run = RunFolder(folder)
    if run.holds_run():
        yield run
    elif depth:
        for inner in sorted(folder.iterdir(), key=str):
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _find_run_folders(inner, depth - 1)


def _describe(run: RunFolder) -> Entry:
    state: RunState | None = None
    with suppress(RunFolderError):  # a broken run.json
        state = run.read_state()
    return Entry(
        path=str(run.path),
        state=_state_of(run, state),
        images=read_footer(run.catalog).num_rows if run.catalog.is_file() else None,
        done=sum(read_footer(part).num_rows for part in run.parts(PREDICTIONS)),
        size=sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file()),
        model="" if state is None else state.model_address,
        data="" if state is None else state.data_address,
    )


def _state_of(run: RunFolder, state: RunState | None) -> State:
    if owner_of(run.path) is not None:
        return "running"
    return "finished" if state is not None and state.state == "finished" else "stopped"
