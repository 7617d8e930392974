"""The server of a command: in a session of its own, away from the user's folder, started again.

A small web server stands in for Prefect's, which takes seconds to start; tests/flows/
test_working_folder.py has the real one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.runtime import local_server
from flows.runtime.local_server import LocalServer, answers, connect_prefect
from models.errors import PrefectUnavailable
from tests.support.silent_server import silent_server
from tests.support.waiting import wait_until

STAND_IN = """
import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

with open("started.txt", "a") as file:
    print(os.getcwd(), "PREFECT_API_URL" in os.environ, "" in sys.path, file=file)
if os.path.exists("refuse"):
    sys.exit("the disk\\nis full")
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""
POISON = "raise SystemExit('code of the working folder was run')"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "APP", ("-c", STAND_IN))
    monkeypatch.setattr(local_server, "prepare_database", lambda _: None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Iterator[LocalServer]:
    server = LocalServer(home)
    server.await_answer()
    yield server
    server.stop()


def starts(home: Path) -> list[str]:
    return (home / "started.txt").read_text().splitlines()


def test_it_has_a_session_and_a_folder_of_its_own(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http.py", "socketserver.py", "os.py"):
        (tmp_path / name).write_text(POISON)
        (home / name).write_text(POISON)  # nor from there
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # of another server
    server = LocalServer(home)
    try:
        server.await_answer()
        assert os.getsid(server.process.pid) == server.process.pid != os.getsid(0)
        assert os.getpgid(server.process.pid) != os.getpgid(0)
        assert starts(home) == [f"{home} False False"]
    finally:
        server.stop()


def test_it_listens_on_this_machine_alone(server: LocalServer) -> None:
    process = psutil.Process(server.process.pid)
    listening = {connection.laddr for connection in process.net_connections()}
    assert listening == {("127.0.0.1", server.port)}


def test_it_is_started_again_when_it_is_killed(server: LocalServer, home: Path) -> None:
    killed = server.process
    os.killpg(killed.pid, signal.SIGKILL)
    assert wait_until(lambda: server.process is not killed)
    server.await_answer()
    assert answers(server.url)
    assert len(starts(home)) == 2


def test_stopping_it_is_no_reason_to_start_it_again(server: LocalServer, home: Path) -> None:
    server.stop()
    server.stop()
    assert server.process.poll() is not None
    assert not answers(server.url, timeout=1)
    assert len(starts(home)) == 1


def test_one_that_never_starts_is_given_up_with_its_last_words(home: Path) -> None:
    (home / "refuse").touch()
    server = LocalServer(home)
    with pytest.raises(PrefectUnavailable) as caught:
        server.await_answer()
    line = str(caught.value)
    assert line.startswith("Prefect's own server does not run (is full): see ")
    assert str(home / "server.log") in line
    assert "\n" not in line
    assert len(starts(home)) == 1 + local_server.RESTARTS


def test_a_server_that_is_named_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = LocalServer(home)
    try:
        other.await_answer()
        monkeypatch.setenv("PREFECT_API_URL", other.url)
        assert connect_prefect(home) is None
        monkeypatch.delenv("PREFECT_API_URL")
        assert connect_prefect(home, other.url) is None  # of `sightline up`
        assert os.environ["PREFECT_API_URL"] == other.url
        assert len(starts(home)) == 1
    finally:
        other.stop()


def test_a_named_server_that_does_not_answer_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "ANSWERS_WITHIN", 1.0)
    with silent_server() as address:
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:hunter2@{address}/api")
        with pytest.raises(PrefectUnavailable, match="does not answer within 1 s") as caught:
            connect_prefect(home)
    assert "hunter2" not in str(caught.value)
    assert not (home / "started.txt").exists()
