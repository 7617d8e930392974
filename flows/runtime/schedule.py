"""Scheduled runs: each has its own folder, and waits for servers that are being restarted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import State, runtime

from flows.output_folders import check_output
from flows.runtime.log_lines import name_run_in_log, show_control_characters
from flows.runtime.prefect_server import wait_for_prefect
from flows.settings.command_settings import RunSettings
from models.addresses import as_path, describe_safely
from models.errors import Unfinished, UserError
from tasks.runs.series import settle_folder
from tasks.storage.lock import hold_lock

log = logging.getLogger("sightline")

AnyRun = TypeVar("AnyRun", bound=RunSettings)


@contextmanager
def exclusive_run(settings: AnyRun) -> Iterator[AnyRun]:
    """The settings with the folder of this run, locked against other writers.

    A retry has the same folder: Prefect sets the time that a flow run is scheduled for only once.
    At the end it waits for a server that is being restarted.
    """
    show_control_characters()
    output = settings.output
    if output.series is not None:
        deployment = runtime.deployment.get_name()
        output = settle_folder(output, deployment, runtime.flow_run.get_scheduled_start_time())
    check_output(settings)
    with hold_lock(output.folder), name_run_in_log(str(as_path(output.folder))):
        yield settings.model_copy(update={"output": output})
    wait_for_prefect()


def warn_unpublished(published: State[Any]) -> None:
    """Warn where MLflow did not get the run, which is finished nevertheless."""
    if published.is_failed():
        error = published.result(raise_on_failure=False)
        is_ours = isinstance(error, (UserError, Unfinished))
        log.warning("not published: %s", error if is_ours else describe_safely(error)[0])
