"""Prefect's server may be unreachable for a while: that stops no work and loses no result."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_API_URL

from models.addresses import describe_safely, remove_secrets
from models.errors import PrefectUnavailable

log = logging.getLogger("sightline")

LAST_UPDATE = 5.0  # seconds to wait at the end for the last update of progress
PATIENCE = 240.0  # seconds to wait at the end for a server that is being restarted


@contextmanager
def prefect_errors() -> Iterator[None]:
    """Report a server that does not answer in one line."""
    try:
        yield
    except (httpx.HTTPError, RuntimeError) as error:
        if not (isinstance(error, httpx.HTTPError) or "Failed to reach API" in str(error)):
            raise
        address = remove_secrets(PREFECT_API_URL.value() or "its own address")
        words, cause = describe_safely(error)
        raise PrefectUnavailable(
            f"Prefect at {address} does not answer ({words}); what was computed is "
            "kept, and the same command continues when it does, or without PREFECT_API_URL"
        ) from cause


def wait_for_prefect() -> None:
    """Return when the server answers, or has not for minutes: a flow reports its end to it.

    Prefect's own client would wait longer and longer between its attempts.
    """
    end, warned = time.monotonic() + PATIENCE, False
    while (error := _unreachable()) and time.monotonic() < end:
        if not warned:
            log.warning(
                "waiting for Prefect's server (%s); everything is computed and kept",
                describe_safely(error)[0],
            )
        warned = True
        time.sleep(1)


def _unreachable() -> Exception | None:
    try:
        with get_client(sync_client=True) as client:
            error = client.api_healthcheck()
    except (
        httpx.HTTPError,
        RuntimeError,
    ) as failed:  # raised where the client asks for the version
        error = failed
    refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
    return None if refused else error  # a refusal is an answer


class ProgressArtifact:
    """A Prefect progress artifact, kept up to date by its own thread while the server answers."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.progress = 0.0
        self.changed, self.ended, self.warned = threading.Event(), False, False
        context = copy_context()  # holds the flow run that the artifact belongs to
        self.thread = threading.Thread(
            target=context.run, args=(self._keep_current,), daemon=True, name="artifact"
        )
        self.changed.set()
        if FlowRunContext.get() or TaskRunContext.get():  # a command that is no flow has no server
            self.thread.start()

    def update(self, progress: float) -> None:
        """Set the progress, from 0 to 100; returns at once."""
        self.progress = progress
        self.changed.set()

    def close(self) -> None:
        """Send the last update; waits a few seconds at most."""
        self.ended = True
        self.changed.set()
        if self.thread.ident is not None:  # it was started
            self.thread.join(LAST_UPDATE)

    def _keep_current(self) -> None:
        artifact_id: UUID | None = None
        while self.changed.wait():
            self.changed.clear()
            ended, progress = self.ended, self.progress
            try:
                artifact_id = self._write(artifact_id, progress)
            except Exception as error:  # from Prefect or its transport: no reason to stop
                self._warn_once(error)
            if ended:
                return

    def _write(self, artifact_id: UUID | None, progress: float) -> UUID:
        if artifact_id is not None:
            update_progress_artifact(artifact_id, progress=progress)
            return artifact_id
        created = create_progress_artifact(progress=progress, description=self.description)
        assert isinstance(created, UUID)  # since not called from a coroutine
        return created

    def _warn_once(self, error: Exception) -> None:
        if not self.warned:
            log.warning(
                "Prefect does not show progress (%s); the work continues",
                describe_safely(error)[0],
            )
        self.warned = True
