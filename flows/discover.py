"""The patterns of a finished run, looked for again or for the first time; nothing else is computed
again.
"""

from __future__ import annotations

from flows.audit import write_page
from flows.runtime.progress import show_trials
from flows.settings.environment import home
from models.errors import UserError
from tasks.discover import given_names
from tasks.discover.discover import add_patterns
from tasks.execution.settings import ComputeSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.storage.lock import hold_lock


def discover_patterns(address: str, compute: ComputeSettings) -> RunFolder:
    """Write the patterns of a finished audit, its summary and its page."""
    run = RunFolder.at(address)
    with hold_lock(address):
        _refuse_unable(run)
        with show_trials(f"patterns of {run.path.name}") as on_progress:
            add_patterns(run, compute, str(home() / "dask"), on_progress)
        write_page(run)
    return run


def name_pattern(address: str, pattern: str, name: str) -> None:
    """Give a pattern of a finished audit the user's name, also on the page."""
    run = RunFolder.at(address)
    with hold_lock(address):
        given_names.name_pattern(run, pattern, name)
        write_page(run)


def _refuse_unable(run: RunFolder) -> None:
    """Of a run that is not finished, or that keeps nothing patterns are found by."""
    opened = open_run(run.path)
    if opened.compares_methods:
        raise UserError(f"{run.path} compares methods: name the run of an audit")
    opened.summary()
    settings = opened.state.settings
    sought = settings.get("patterns", {}).get("choice", "none")
    if sought == "none" or settings.get("interventions", {}).get("choice") == "none":
        raise UserError(
            f"{run.path} keeps nothing that patterns are found by: audit again with --patterns "
            "default and --interventions default (with --reuse, no map is made twice)"
        )
