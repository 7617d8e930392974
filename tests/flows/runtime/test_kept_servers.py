"""`sightline up` keeps both servers for all commands of one home; `down` ends every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from flows.runtime import local_server
from flows.runtime.kept_servers import KeptServer, kept_prefect, read_servers, stop_servers
from tasks.runs import open_run
from tests.support.command_line import SIGHTLINE, check_refused, invoke, link_images
from tests.support.silent_server import silent_server
from tests.support.terminal import processes_with
from tests.support.waiting import PATIENCE, wait_until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def kept(home: Path) -> Iterator[tuple[KeptServer, psutil.Process]]:
    """A process that stands in for a server, and its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    born = psutil.Process(process.pid).create_time()
    server = KeptServer("MLflow", "http://127.0.0.1:9", process.pid, born)
    write_list(home, server)
    yield server, child
    for left in (child, process):
        if left.pid in psutil.pids():
            left.kill()
    process.communicate()


def write_list(home: Path, *servers: KeptServer) -> None:
    (home / "servers.json").write_text(json.dumps([asdict(server) for server in servers]))


def test_one_that_is_alive_is_found_and_stopped_with_its_children(
    home: Path, kept: tuple[KeptServer, psutil.Process]
) -> None:
    server, child = kept
    assert read_servers() == [server]
    assert "MLflow:" in invoke("status").stdout
    assert "does not answer" in invoke("status").stdout
    assert stop_servers() == [server]
    assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert not server.is_alive
    assert not (home / "servers.json").exists()
    assert invoke("down").stdout == "no server is running\n"


def test_a_process_number_that_was_used_again_is_left_alone(
    home: Path, kept: tuple[KeptServer, psutil.Process]
) -> None:
    server, child = kept
    write_list(home, replace(server, born=server.born - 60))
    assert read_servers() == []
    assert kept_prefect() is None
    assert stop_servers() == []
    assert child.is_running()
    assert server.is_alive


@pytest.mark.parametrize(
    "text",
    [
        *("", "garbage", "{}", "[1]", "[[]]", "null", "[" * 100_000, "\x00"),
        '[{"name": "Prefect", "page": "http://127.0.0.1:9", "pid": "me", "born": 1}]',
        '[{"name": "Prefect", "page": "http://127.0.0.1:9", "pid": -1, "born": 1}]',
        '[{"name": "Prefect", "page": "http://127.0.0.1:9", "pid": 0, "born": 1}]',
    ],
)
def test_a_damaged_list_is_as_none(home: Path, text: str) -> None:
    (home / "servers.json").write_text(text)
    assert read_servers() == []
    assert invoke("status").exit_code == 0
    assert invoke("down").stdout == "no server is running\n"


def test_a_list_that_came_with_the_data_sends_nothing_elsewhere(home: Path) -> None:
    """Its process number is one that anybody knows."""
    ours = psutil.Process()
    for page in ("http://evil.example:80", "http://127.0.0.1:9@evil.example", "file:///etc"):
        write_list(home, KeptServer("Prefect", page, ours.pid, ours.create_time()))
        assert read_servers() == []


def test_an_address_that_never_answers_is_one_line(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "ANSWERS_WITHIN", 1.0)
    options = ("--data", str(benchmark_folder), "--split", "test", "--model", str(bundle))
    with silent_server() as address:
        monkeypatch.setenv("PREFECT_API_URL", f"http://{address}/api")
        done = invoke("audit", *options, "--out", str(tmp_path / "run"))
    check_refused(done, 3, f"Prefect at http://{address}/api does not answer within 1 s: start it")


class Home:
    """A new home, and commands in it."""

    def __init__(self, folder: Path) -> None:
        names = ("PREFECT_", "MLFLOW_TRACKING")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(names)}
        self.folder, self.environment = folder, kept | {"SIGHTLINE_HOME": str(folder / "home")}

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [SIGHTLINE, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def servers(self) -> dict[str, KeptServer]:
        entries = json.loads((self.folder / "home/servers.json").read_text())
        return {entry["name"]: KeptServer(**entry) for entry in entries}

    @property
    def processes(self) -> list[psutil.Process]:
        return processes_with("SIGHTLINE_HOME", self.environment["SIGHTLINE_HOME"])


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    for process in home.processes:
        process.kill()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_kept_servers_are_used_and_ended(
    new_home: Home, benchmark_folder: Path, bundle: Path
) -> None:
    printed = new_home.run("up", "--no-browser")
    servers = new_home.servers
    assert servers.keys() == {"Prefect", "MLflow"}
    for server in servers.values():
        assert server.answers
        assert f"{server.page}\n" in printed
        with urllib.request.urlopen(server.page, timeout=PATIENCE) as page:
            assert b"<html" in page.read().lower()
    again = new_home.run("up", "--no-browser")
    assert (again, new_home.servers) == (printed, servers)
    assert new_home.run("status").count("answers (process") == 2

    pictures = link_images(benchmark_folder, new_home.folder / "pictures", 16)
    before = {process.pid for process in new_home.processes}
    new_home.run("audit", "--data", str(pictures), "--model", str(bundle), "--out", "run")
    run = open_run(new_home.folder / "run")
    assert run.state.mlflow["run"]
    assert flow_runs(servers["Prefect"]) == ["COMPLETED"]
    assert not (new_home.folder / "home/prefect/server.log").exists()  # of a server of its own
    artifact = f"get-artifact?path=report.html&run_uuid={run.state.mlflow['run']}"
    with urllib.request.urlopen(f"{servers['MLflow'].page}/{artifact}", timeout=60) as page:
        assert page.read() == run.folder.report.read_bytes()

    assert {process.pid for process in new_home.processes} == before
    assert new_home.run("down") == "stopped Prefect and MLflow\n"
    assert wait_until(lambda: not new_home.processes), new_home.processes
    assert new_home.run("status").startswith("no server is running")


def flow_runs(server: KeptServer) -> list[str]:
    """The states of all flow runs that a Prefect server knows."""
    request = urllib.request.Request(
        f"{server.api}/flow_runs/filter",
        data=b"{}",
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [run["state_type"] for run in json.load(answer)]
