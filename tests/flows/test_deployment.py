"""prefect.yaml against a real Prefect server on loopback: deployed, and run by a worker."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PREFECT = str(Path(sys.executable).with_name("prefect"))

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server with a database of its own; yields the environment that reaches it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    process = subprocess.Popen(
        [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health")
        yield environment
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(address: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no server at {address}")


def test_the_deployment_runs_on_a_worker(
    server: dict[str, str], benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    shutil.copytree(benchmark_folder, place / "demo/benchmark")
    shutil.copytree(bundle, place / "demo/model")
    shutil.copy(ROOT / "prefect.yaml", place)
    for command in (
        "work-pool create sightline --type process",
        "--no-prompt deploy --all",
        "deployment run audit/audit",
        "worker start --pool sightline --run-once",
    ):
        done = subprocess.run(
            [PREFECT, *command.split()],
            cwd=place,
            env=server,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    summary = json.loads((place / "runs/audit/summary.json").read_text())
    assert summary["images"]["predicted"] == 64
