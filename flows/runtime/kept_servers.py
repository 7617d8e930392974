"""`sightline up`: Prefect and MLflow with their pages, kept for all commands of one home."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
from pydantic import Field, PositiveInt, TypeAdapter

from flows.runtime.local_server import (
    APP,
    HOST,
    STARTED_WITHIN,
    answers,
    free_port,
    start_python,
)
from flows.runtime.prefect_database import prepare_database
from flows.settings.environment import home, prefect_home, tracking_of
from models.addresses import remove_secrets
from models.errors import UserError
from tasks.tracking.settings import TrackingSettings

PREFECT, MLFLOW = "Prefect", "MLflow"
PAGE = r"^http://127\.0\.0\.1:\d+$"  # what another program has put into the list is not asked


@dataclass(frozen=True)
class KeptServer:
    """A server that outlives the command that started it."""

    name: str
    page: Annotated[str, Field(pattern=PAGE)]  # its address in a browser
    pid: PositiveInt
    born: float  # when the process started: process numbers are reused

    @property
    def api(self) -> str:
        return f"{self.page}/api"

    @property
    def is_alive(self) -> bool:
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same: bool = abs(process.create_time() - self.born) < 1
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        return False

    @property
    def answers(self) -> bool:
        if self.name == PREFECT:
            return answers(self.api)
        try:
            with urlopen(f"{self.page}/health", timeout=5):
                return True
        except HTTPError:
            return True
        except (OSError, ValueError):
            return False

    def stop(self) -> None:
        """End it and its children, which share its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with suppress(psutil.Error):
            psutil.Process(self.pid).wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


LIST = TypeAdapter(list[KeptServer])


def kept_prefect() -> str | None:
    """The API of the Prefect server that `sightline up` keeps; None if none answers."""
    for server in read_servers():
        if server.name == PREFECT and server.answers:
            return server.api
    return None


def read_servers() -> list[KeptServer]:
    """Those that are alive."""
    try:
        servers = LIST.validate_json(_list().read_bytes())
    except (OSError, ValueError):
        return []
    return [server for server in servers if server.is_alive]


def start_servers() -> list[KeptServer]:
    """Start the servers that are not running yet; returns all of them once they answer."""
    running = {server.name: server for server in read_servers()}
    for name, start in ((PREFECT, _start_prefect), (MLFLOW, _start_mlflow)):
        if name not in running:
            running[name] = start()
            _write_list(list(running.values()))
    for server in running.values():
        _await_answer(server)
    return list(running.values())


def stop_servers() -> list[KeptServer]:
    """Stop them; returns those that were running."""
    servers = read_servers()
    for server in servers:
        server.stop()
    _list().unlink(missing_ok=True)
    return servers


def _start_prefect() -> KeptServer:
    folder = prefect_home()
    prepare_database(folder)
    port = free_port()
    arguments = [*APP, "--host", HOST, "--port", str(port), "--log-level", "error"]
    page = f"http://{HOST}:{port}"
    return _keep(PREFECT, page, arguments, folder, {"PREFECT_UI_API_URL": f"{page}/api"})


def _start_mlflow() -> KeptServer:
    tracking = tracking_of(TrackingSettings())
    if tracking.database is None:
        raise UserError(
            f"MLFLOW_TRACKING_URI names a server already ({remove_secrets(tracking.uri)}): unset "
            "it for one of our own"
        )
    from tasks.tracking.mlflow_client import connect

    connect(tracking)  # makes the database
    port = free_port()
    arguments = [
        *("-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", tracking.uri, "--serve-artifacts"),
        *("--artifacts-destination", str(tracking.artifacts)),
    ]
    return _keep(MLFLOW, f"http://{HOST}:{port}", arguments, home(), {})


def _keep(
    name: str, page: str, arguments: list[str], folder: Path, settings: dict[str, str]
) -> KeptServer:
    with (folder / f"kept-{name.lower()}.log").open("wb") as output:
        process = start_python(arguments, folder, output, settings)
    return KeptServer(name, page, process.pid, psutil.Process(process.pid).create_time())


def _await_answer(server: KeptServer) -> None:
    end = time.monotonic() + STARTED_WITHIN
    while not server.answers:
        if not server.is_alive or time.monotonic() > end:
            stop_servers()
            raise UserError(
                f"{server.name}'s server did not start: see kept-{server.name.lower()}.log in "
                f"{home()}, or use --mlflow and PREFECT_API_URL with servers of your own"
            )
        time.sleep(0.2)


def _list() -> Path:
    return home() / "servers.json"


def _write_list(servers: list[KeptServer]) -> None:
    temporary = _list().with_suffix(".tmp")
    temporary.write_bytes(LIST.dump_json(servers, indent=2))
    temporary.replace(_list())
