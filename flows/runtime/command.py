"""How a command runs a flow: everything is checked and prepared before a server is started."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pkgutil import resolve_name
from typing import Any

from flows.runtime.kept_servers import kept_prefect
from flows.runtime.local_server import LocalServer, connect_prefect, import_prefect
from flows.settings.command_settings import RunSettings
from flows.settings.environment import home, prefect_home, prepare_environment, tracking_of
from tasks.catalog.listing import Listing
from tasks.execution.early_checks import check_early
from tasks.execution.finished_runs import find_finished
from tasks.execution.key_files import check_key_files
from tasks.runs.folder import RunFolder
from tasks.storage.lock import hold_lock
from tasks.storage.unused_memory import release_unused

log = logging.getLogger("sightline")

# The run that the command has prepared: its flow, in the same process, does not do it again.
prepared_run: ContextVar[RunFolder | None] = ContextVar("prepared_run", default=None)


def run_flow(flow: str, **parameters: Any) -> str:
    """Run a flow, such as `flows.retrain:retrain`, to its end; returns its folder."""
    prepare_environment()  # before Prefect is imported, which reads it
    return _call(flow, connect_prefect(prefect_home(), kept_prefect()), parameters)


def run_audit(flow: str, settings: RunSettings) -> str:
    """The same for a flow that fills one run folder; none where nothing is left to do.

    While a server starts, the run is prepared.
    """
    prepare_environment()
    plan = settings.plan
    check_key_files(settings.compute)
    listing = check_early(plan)
    if settings.output.run is None:  # a series: the flow chooses the folder
        return run_flow(flow, **dict(settings))
    with hold_lock(settings.output.folder):
        finished = find_finished(plan, listing, tracking_of(settings.tracking))
        if finished is not None:
            log.info("nothing is left to compute: %s is finished and published", finished.path)
            return str(finished.path)
        run, server = _start(settings, listing)
        del listing  # else it would be held for as long as the audit runs
        release_unused()
        with _known_to_the_flow(run):
            return _call(flow, server, dict(settings))


def _start(settings: RunSettings, listing: Listing) -> tuple[RunFolder, LocalServer | None]:
    """The run, prepared for its flow, and a Prefect server that starts meanwhile, once the model
    and the data are known to be right."""
    from models.classifier.mlflow_models import fetch
    from tasks.execution.prepare import check_run, start_checked

    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        checked = check_run(settings.audit_request, model, settings.plan.settings, listing)
        server = connect_prefect(prefect_home(), kept_prefect())
        return start_checked(checked, settings.output), server


@contextmanager
def _known_to_the_flow(run: RunFolder) -> Iterator[None]:
    token = prepared_run.set(run)
    try:
        yield
    finally:
        prepared_run.reset(token)


def _call(flow: str, server: LocalServer | None, parameters: dict[str, Any]) -> str:
    import_prefect(home())
    from flows.runtime.prefect_server import prefect_errors

    function: Callable[..., str] = resolve_name(flow)
    if server is not None:
        server.await_answer()
    with prefect_errors():
        return function(**parameters)
