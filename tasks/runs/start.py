"""The start of a run in its folder: a new one, one that continues, or one that replaces another."""

from __future__ import annotations

import logging
from uuid import uuid4

from models.addresses import is_file
from models.errors import RunFolderError, list_names
from tasks.runs.contents import clear, refuse_obstacles, restart
from tasks.runs.folder import RunFolder
from tasks.runs.state import Identity, RunState
from tasks.storage.lock import LOCK

log = logging.getLogger("sightline")


def start_run(run: RunFolder, state: RunState, *, replace: bool = False) -> RunState:
    """Create the run folder, or continue the run there; refuses one with another identity.

    Returns the state as it is in run.json now, with what an earlier try left in it.
    """
    earlier = _continue(run, state.identity, replace)
    kept = {"id": uuid4().hex} | ({} if earlier is None else earlier.as_json())
    for name in ("mlflow", "results_stamp"):  # until its new results are there, too
        kept.pop(name, None)
    state = RunState.model_validate(kept | state.as_json())
    run.write_state(state)
    return state


def find_state(run: RunFolder) -> RunState | None:
    """The state that an earlier try left; refuses a folder that contains anything else."""
    if is_file(run.state):
        state = run.read_state()
        refuse_obstacles(run)
        return state
    if run.path.exists() and not (run.path.is_dir() and _has_only_lock(run)):
        raise RunFolderError(
            f"{run.path} is neither empty nor a run folder: give an empty or a new --out"
        )
    return None


def _continue(run: RunFolder, identity: Identity, replace: bool) -> RunState | None:
    """The state of the run to continue, whose results are deleted; None where a new run starts."""
    state = find_state(run)
    if state is None:
        return None
    differences = state.identity.describe_differences(identity)
    if differences and not replace:
        raise RunFolderError(
            f"{run.path} contains another run ({differences}): give another --out, or --replace"
        )
    if not differences:
        restart(run)
        return state
    others = clear(run).others
    if others:
        log.warning("%s keeps what is not the run's: %s", run.path, list_names(others))
    return None


def _has_only_lock(run: RunFolder) -> bool:
    """The caller holds it."""
    return all(path.name == LOCK for path in run.path.iterdir())
