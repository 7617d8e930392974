"""Nobody else on the machine can talk to the local cluster, or find its keys."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client

from tasks.execution.cluster import open_client
from tasks.execution.settings import ComputeSettings

NOBODY = 65534
INTRUDER = f"""
import os, sys
from distributed import Client, Security
tcp, tls, cert = sys.argv[1:]
key = sys.stdin.read()
own = Security.temporary()
if os.getuid() == 0:  # where only root may change the user, the same one, who has no key either
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
owners = Security(
    require_encryption=True, tls_ca_file=cert, tls_client_cert=cert, tls_client_key=key
)
for address, keys in ((tcp, None), (tls, own), (tls, owners)):
    try:
        Client(address, security=keys, timeout=3, set_as_default=False).close()
        print("connects")
    except OSError:
        print("is refused")
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def client(scratch: Path) -> Iterator[Client]:
    with open_client(ComputeSettings(workers=1), str(scratch)) as client:
        yield client


def test_another_user_reaches_the_scheduler_only_with_the_keys(client: Client) -> None:
    address = client.scheduler_info()["address"]
    assert address.startswith("tls://127.0.0.1:")
    keys = client.security
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            INTRUDER,
            address.replace("tls", "tcp"),
            address,
            keys.tls_client_cert,
        ],
        input=keys.tls_client_key,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["is refused", "is refused", "connects"]
    assert client.submit(abs, -1).result() == 1  # and it still works for its owner


def test_a_worker_is_reached_only_with_the_keys(client: Client) -> None:
    (worker,) = client.scheduler_info()["workers"]
    host, port = worker.removeprefix("tls://").split(":")
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=10) as connection,
        stranger.wrap_socket(connection) as wrapped,
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"),
    ):
        wrapped.recv(1)


def test_keys_stand_neither_on_command_lines_nor_in_files(client: Client, scratch: Path) -> None:
    key: str = client.security.tls_client_key
    assert "PRIVATE KEY" in key
    secret = key.splitlines()[1]
    processes = psutil.Process().children(recursive=True)
    assert processes
    assert not [it for it in processes if secret in " ".join(it.cmdline())]
    assert not [it for it in processes if secret in " ".join(it.environ().values())]
    files = [path for path in scratch.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_text(errors="replace")]


def listening_addresses() -> set[str]:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def test_nothing_listens_beyond_the_machine(client: Client) -> None:
    assert client.status == "running"
    assert listening_addresses() == {"127.0.0.1"}


def test_work_in_this_process_opens_no_scheduler(scratch: Path) -> None:
    before = listening_addresses()
    with open_client(ComputeSettings(workers=0), str(scratch)) as client:
        info = client.scheduler_info()
        addresses = [info["address"], *info["workers"]]
        assert [address.partition(":")[0] for address in addresses] == ["inproc", "inproc"]
        assert listening_addresses() <= before | {"127.0.0.1"}
        check_pages(client)


def test_its_pages_tell_nothing(client: Client) -> None:
    check_pages(client)


def check_pages(client: Client) -> None:
    port = client.scheduler_info()["services"]["dashboard"]
    for page in ("info/main/workers.html", "json/counts.json", "metrics"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10)
