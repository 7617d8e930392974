"""For scheduled runs: a folder of its own for each, and patience with both servers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import State, runtime

from flows.runtime.prefect_server import wait_for_prefect
from flows.settings.sections import RunSettings
from tasks.runs.series import settle_folder
from tasks.storage.lock import hold_lock

log = logging.getLogger("sightline")

AnyRun = TypeVar("AnyRun", bound=RunSettings)


@contextmanager
def exclusive_run(settings: AnyRun) -> Iterator[AnyRun]:
    """The settings with the run folder of this run, which nobody else writes meanwhile.

    Prefect sets the time that a flow run was scheduled for once: a retry has the same folder. At
    the end a server that is being restarted is waited for.
    """
    output = settings.output
    if output.series is not None:
        deployment = runtime.deployment.get_name()
        output = settle_folder(output, deployment, runtime.flow_run.get_scheduled_start_time())
    with hold_lock(output.folder):
        yield settings.model_copy(update={"output": output})
    wait_for_prefect()


def warn_unpublished(published: State[Any]) -> None:
    """MLflow being away costs no computed result: a warning, and the run is finished."""
    if published.is_failed():
        log.warning("not published: %s", published.message)
