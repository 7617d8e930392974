"""What lies in the working folder is neither run nor read, and a killed server is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tasks.runs import open_run
from tests.support.command_line import SIGHTLINE, link_images
from tests.support.waiting import PATIENCE, wait_until

IMAGES = 600
CODE = "open({mark!r}, 'a').write('{name}\\n')\nraise SystemExit('run: {name}')\n"
MODULES = (
    *("uvicorn", "random", "prefect", "mlflow", "psutil", "torch", "dask", "flows", "tasks"),
    *("sitecustomize", "usercustomize", "json", "logging_setup", "distributed"),
)
LOGGING = """
version: 1
formatters:
  bad:
    (): logging_setup.run
root: {}
"""
FILES = {
    "prefect.toml": '[logging]\nconfig_path = "logging.yml"\n[api]\nurl = "http://127.0.0.1:9/api"\n',
    "pyproject.toml": '[tool.prefect.api]\nurl = "http://127.0.0.1:9/api"\n'
    '[tool.prefect.logging]\nconfig_path = "logging.yml"\n',
    ".env": "PREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_LOGGING_CONFIG_PATH=logging.yml\n",
    "logging.yml": LOGGING,
    "profiles.toml": 'active = "bad"\n[profiles.bad]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n',
    ".dask/config.yaml": "distributed:\n  worker:\n    preload: [logging_setup]\n",
}


@pytest.fixture
def poisoned(benchmark_folder: Path, tmp_path: Path) -> Path:
    """A folder of pictures with everything that could be run, or read as settings."""
    folder = link_images(benchmark_folder, tmp_path / "photos", IMAGES)
    for name in MODULES:
        code = CODE.format(mark=str(tmp_path / "was run"), name=name)
        (folder / f"{name}.py").write_text(code)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def servers_of(audit: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(audit.pid).children(recursive=True)
    return [child for child in children if "flows.runtime.serve_prefect" in child.cmdline()]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_an_audit_in_a_hostile_folder_with_a_server_that_is_killed(
    poisoned: Path, bundle: Path, tmp_path: Path
) -> None:
    names = ("PREFECT_", "MLFLOW_TRACKING", "PYTHONSAFEPATH")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(names)}
    environment["SIGHTLINE_HOME"] = str(tmp_path / "home")
    audit = subprocess.Popen(
        [
            *(SIGHTLINE, "audit", "--data", ".", "--model", str(bundle), "--out", "run"),
            *("--workers", "1", "--shard-size", "25"),
        ],
        cwd=poisoned,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = poisoned / "run"
    begun = lambda: list(run.glob("predictions/part-*")) or audit.poll() is not None  # noqa: E731
    assert wait_until(begun)
    assert audit.poll() is None, audit.communicate()
    (server,) = servers_of(audit)
    assert os.getsid(server.pid) != os.getsid(audit.pid)
    assert server.cwd() == str(tmp_path / "home/prefect")
    server.send_signal(signal.SIGKILL)
    printed, said = audit.communicate(timeout=PATIENCE)
    assert audit.returncode == 0, said
    assert f"{IMAGES} predicted, 0 failed" in printed
    assert "Traceback" not in said
    assert "not published" not in said
    assert open_run(run).state.state == "finished"
    assert not (tmp_path / "was run").exists(), (tmp_path / "was run").read_text()
