"""Prefect's server on this machine: one that `sightline up` keeps running, or one per command.

Prefect would start one by itself, but in the terminal's process group, so that Ctrl-C stops it
before the flow has reported its end, and with the working folder on its path.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

from flows.runtime.prefect_database import check_database, database_in, empty_database
from models.addresses import remove_secrets
from models.errors import PrefectUnavailable

API_URL = "PREFECT_API_URL"
HOST = "127.0.0.1"
STARTED_WITHIN = 120.0  # seconds: a cold disk is slow
ANSWERS_WITHIN = 10.0  # seconds, of a server that is running
STOPPED_WITHIN = 3.0  # seconds until a server that does not end is killed
APP = ("-m", "uvicorn", "--factory", "prefect.server.api.server:create_app")


@dataclass(frozen=True)
class LocalServer:
    """A child process that serves Prefect's API, and its pages where asked for."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    new_database: Path | None = None  # which nobody has written to yet

    def await_answer(self) -> None:
        """Return when the server answers; refuses one that ends before, or that never does."""
        end = time.monotonic() + STARTED_WITHIN
        while not answers(self.url, timeout=1.0):
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                state = "does not answer" if code is None else f"ended with code {code}"
                raise PrefectUnavailable(
                    f"Prefect's own server {state}{self._last_words()}: see {self.log}, or give "
                    "the address of another server in PREFECT_API_URL"
                )
            time.sleep(0.1)
        if self.new_database is not None:
            empty_database().keep(self.new_database)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()})" if lines else ""


def start_server(home: Path, *, port: int | None = None, pages: bool = False) -> LocalServer:
    """Start Prefect's server on the database in its home; returns before it answers."""
    new_database = _prepare_database(home)
    port = port or free_port()
    log = home / "server.log"
    arguments = [*APP, "--host", HOST, "--port", str(port), "--log-level", "error"]
    with log.open("wb") as output:
        process = start_python(arguments, home, output, _environment(pages))
    return LocalServer(process, f"http://{HOST}:{port}/api", log, new_database)


def _prepare_database(home: Path) -> Path | None:
    """Check the database, or copy an empty one; the file that the server will make, if neither."""
    database = database_in(home)
    if database is None or empty_database().copy_to(database):
        return None
    if database.exists():
        check_database(database)
        return None
    return database


def start_python(
    arguments: list[str], folder: Path, output: IO[bytes], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own: a Ctrl-C on the terminal must not reach it.

    -P, since its working folder is on its path otherwise.
    """
    return subprocess.Popen(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _environment(pages: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != API_URL}
    if pages:
        return kept | {"PREFECT_UI_ENABLED": "1"}
    return kept | {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",  # none of the services that schedule runs
        "PREFECT__SERVER_FINAL": "1",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str, timeout: float = ANSWERS_WITHIN) -> bool:
    """Does Prefect answer at this address?"""
    with suppress(OSError, URLError, ValueError), urlopen(f"{url}/health", timeout=timeout) as got:
        return bool(got.status == 200)
    return False


def stop_process(pid: int) -> None:
    """Stop a server that another command started, with its children."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)


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


def connect_prefect(home: Path) -> LocalServer | None:
    """Start a server for this process, unless the user has one or `sightline up` keeps one.

    Sets PREFECT_API_URL, and so must come before Prefect is imported. The server ends with the
    process, after Prefect has sent its last lines, which it does when Python exits.
    """
    given = os.environ.get(API_URL)
    if given:
        _refuse_silent(given)
        return None
    server = start_server(home / "prefect")
    atexit.register(server.stop)
    os.environ[API_URL] = server.url
    return server


def _refuse_silent(url: str) -> None:
    if not answers(url):
        raise PrefectUnavailable(
            f"Prefect at {remove_secrets(url)} does not answer within {ANSWERS_WITHIN:.0f} s: "
            "start it, give the address of another in PREFECT_API_URL, or unset it"
        )
