"""Prefect's server is killed while an audit computes: it comes back, or it never does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.runs import open_run
from tests.support.command_line import link_images
from tests.support.waiting import PATIENCE, answers, wait_until

BIN = Path(sys.executable).parent
IMAGES = 1500
IMPATIENT = (
    "from flows.runtime import prefect_server; prefect_server.PATIENCE = 3; "
    "from flows.cli import main; main()"
)

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


@dataclass
class Server:
    """`prefect server start` on one port and one database, however often it is killed."""

    environment: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        health = f"http://127.0.0.1:{self.port}/api/health"
        assert wait_until(lambda: answers(health)), "Prefect's server does not start"

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "SIGHTLINE_HOME": str(tmp_path / "home"),
    }
    server = Server(environment, port)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def crowd(benchmark_folder: Path, tmp_path: Path) -> Path:
    return link_images(benchmark_folder, tmp_path / "crowd", IMAGES)


def start(
    crowd: Path,
    bundle: Path,
    run: Path,
    environment: dict[str, str],
    command: tuple[str | Path, ...] = (BIN / "sightline",),
) -> subprocess.Popen[str]:
    where = ("--data", str(crowd), "--model", str(bundle), "--out", str(run))
    how = ("--shard-size", "25", "--workers", "1", "--json")
    return subprocess.Popen(
        [*command, "audit", *where, *how],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def parts(run: Path) -> list[Path]:
    return list(run.glob("predictions/part-*"))


def wait_for_parts(audit: subprocess.Popen[str], run: Path) -> None:
    while len(parts(run)) < 3:
        assert audit.poll() is None, audit.communicate()
        time.sleep(0.1)


def test_an_audit_outlives_a_restart_of_prefects_server(
    server: Server, crowd: Path, bundle: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    audit = start(crowd, bundle, run, server.environment)
    wait_for_parts(audit, run)
    server.kill()
    assert len(parts(run)) < IMAGES / 25  # it was in the middle
    while len(parts(run)) < IMAGES / 25:  # which goes on without the server
        assert audit.poll() is None, audit.communicate()
        time.sleep(0.2)
    server.start()
    found, errors = audit.communicate(timeout=2 * PATIENCE)
    assert audit.returncode == 0, errors
    assert json.loads(found)["images"]["predicted"] == IMAGES
    assert "Traceback" not in errors


def test_a_server_that_stays_away_costs_no_result(
    server: Server, crowd: Path, bundle: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    impatient = (sys.executable, "-c", IMPATIENT)
    environment = server.environment | {"PREFECT_CLIENT_MAX_RETRIES": "1"}
    audit = start(crowd, bundle, run, environment, impatient)
    wait_for_parts(audit, run)
    server.kill()
    _, errors = audit.communicate(timeout=2 * PATIENCE)
    assert audit.returncode == 3, errors
    assert errors.splitlines()[-1].startswith("sightline: Prefect at http://127.0.0.1:")
    assert "what was computed is kept, and the same command continues" in errors
    assert "Traceback" not in errors
    assert open_run(run).state.state == "finished"
    stamps = {path: path.stat().st_mtime_ns for path in parts(run)}
    again = start(crowd, bundle, run, environment)  # nothing is left that needs the server
    found, errors = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, errors
    assert f"nothing is left to compute: {run} is finished" in errors
    assert json.loads(found)["images"]["predicted"] == IMAGES
    assert {path: path.stat().st_mtime_ns for path in parts(run)} == stamps
