"""Prefect's server on this machine: one that `sightline up` keeps running, or one per command.

Prefect would start one by itself, but in the terminal's process group, so that Ctrl-C stops it
before the flow has reported its end, and with the working folder on its path.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

from flows.runtime.prefect_database import empty_database, prepare_database
from flows.settings.environment import environment_of_server, prefect_url, use_prefect
from models.addresses import remove_secrets
from models.answering_servers import find_fault, open_url
from models.errors import PrefectUnavailable

log = logging.getLogger("sightline")

HOST = "127.0.0.1"
STARTED_WITHIN = 120.0  # seconds: a cold disk is slow
ANSWERS_WITHIN = 10.0  # seconds, of a server that is running
STOPPED_WITHIN = 3.0  # seconds until a server that does not end is killed
RESTARTS = 3
APP = ("-m", "flows.runtime.serve_prefect")
# Without the services that schedule runs and act on events, and without pages.
EPHEMERAL = {
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "0",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


class LocalServer:
    """A child process that serves Prefect's API, and is started again when it dies."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://{HOST}:{self.port}/api"
        self.log = home / "server.log"
        self.new_database = prepare_database(home)  # which nobody has written to yet
        self.stopping = threading.Event()
        self.process = self._start()
        threading.Thread(target=self._keep_running, daemon=True, name="prefect").start()

    def await_answer(self) -> None:
        """Return when the server answers; refuses one that never does."""
        end = time.monotonic() + STARTED_WITHIN
        while not answers(self.url, timeout=1.0):
            if self.stopping.is_set() or time.monotonic() > end:
                raise PrefectUnavailable(
                    f"Prefect's own server does not run{self._last_words()}: see {self.log}, or "
                    "give the address of another server in PREFECT_API_URL"
                )
            time.sleep(0.1)
        if self.new_database is not None:
            empty_database().keep(self.new_database)

    def stop(self) -> None:
        self.stopping.set()
        self.process.terminate()
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = [*APP, "--host", HOST, "--port", str(self.port), "--log-level", "error"]
        with self.log.open("wb") as output:
            return start_python(arguments, self.home, output, EPHEMERAL)

    def _keep_running(self) -> None:
        """A flow reports its end to the server, and would wait for minutes without one."""
        for _ in range(RESTARTS):
            self.process.wait()
            if self.stopping.is_set():
                return
            self.process = self._start()
        self.process.wait()
        self.stopping.set()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()})" if lines else ""


def start_python(
    arguments: list[str], folder: Path, output: IO[bytes], settings: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own: a Ctrl-C on the terminal must not reach it.

    -P, since its working folder is on its path otherwise.
    """
    return subprocess.Popen(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment_of_server(settings),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str, timeout: float = ANSWERS_WITHIN) -> bool:
    """Does a server answer at this address? A refusal is an answer, too."""
    try:
        with open_url(f"{url}/health", timeout):
            return True
    except HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def import_prefect(home: Path) -> None:
    """Import Prefect where no file of the user's is taken for its settings.

    It reads prefect.toml, pyproject.toml and .env of the folder in which it is imported.
    """
    start = Path.cwd()
    os.chdir(home)
    try:
        import prefect.main  # noqa: F401
    finally:
        os.chdir(start)


def connect_prefect(folder: Path, kept: str | None = None) -> LocalServer | None:
    """Start a server for this process, unless the user has one or `sightline up` keeps one.

    Sets PREFECT_API_URL, and so must come before Prefect is imported. The server keeps its
    database in the folder, and ends with the process, after Prefect has sent its last lines, which
    it does when Python exits.
    """
    given = prefect_url()
    if given:
        _refuse_silent(given)
        log.info("Prefect's page: %s", remove_secrets(given).removesuffix("/api"))
        return None
    if kept is not None:
        use_prefect(kept)
        log.info("Prefect's page: %s", kept.removesuffix("/api"))
        return None
    server = LocalServer(folder)
    atexit.register(server.stop)
    use_prefect(server.url)
    return server


def _refuse_silent(url: str) -> None:
    is_whole = answers(url, ANSWERS_WITHIN) and find_fault(f"{url}/health") is None
    if not is_whole:  # else its client would wait
        raise PrefectUnavailable(
            f"Prefect at {remove_secrets(url)} does not answer within {ANSWERS_WITHIN:.0f} s: "
            "start it, give the address of another in PREFECT_API_URL, or unset it"
        )
