"""Passwords, tokens and signatures stand in nothing that a command prints or leaves behind."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest

from flows.cli import commands
from tests.support.command_line import SIGHTLINE, check_refused, invoke, set_option
from tests.support.mlflow_server import Server as MlflowServer
from tests.support.waiting import answers, wait_until
from tests.support.web_server import WebServer, serve

SECRET = "s3cret" + "5" * 20
ADDRESSES = (
    f"https://me:{SECRET}@there/a",
    f"https://{SECRET}@there/a",
    f"https://there/a?s={SECRET}",
    f"s3://bucket/a?X-Amz-Signature={SECRET}",
    f"ftp://me:{SECRET}@there/a",
    f"reference://a::https://me:{SECRET}@there/a",
    f"postgresql://me:{SECRET}@there/a",
)
LEAST = {
    "audit": ("--data", "x", "--model", "m", "--out", "r"),
    "compare-methods": ("--data", "x", "--model", "m", "--out", "r"),
    "retrain": ("--data", "x", "--model", "m", "--out", "r"),
    "release": ("--data", "x", "--model", "mlflow:models:/m/1", "--out", "r", "--policy", "p"),
    "log": ("--model", "m", "--name", "n"),
    "publish": (),
}


def text_options() -> Iterator[tuple[str, str]]:
    """Each option that takes a text, once, with the first command that has it."""
    seen: set[str] = set()
    for name in LEAST:
        for option in commands.main.commands[name].params:
            # A number that is an address is click's to refuse; some files are read by path alone.
            is_text = isinstance(option, click.Option) and option.type is click.STRING
            if is_text and option.opts[0] not in seen | {"--preprocessing"}:
                seen.add(option.opts[0])
                yield name, option.opts[0]


def test_no_option_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_flow(*_: object, **settings: object) -> str:
        raise AssertionError(f"a flow would get {settings}")

    for name in ("run_flow", "run_audit"):
        monkeypatch.setattr(f"flows.runtime.command.{name}", run_flow)
    for (name, option), address in zip(text_options(), cycle(ADDRESSES), strict=False):
        words = list(LEAST[name])
        set_option(words, option, address)
        done = invoke(name, *(("/nowhere",) if name == "publish" else ()), *words)
        check_refused(done, 2, "")
        assert SECRET not in done.stderr, option


@pytest.mark.parametrize("words", [("show",), ("runs",), ("remove", "--yes"), ("policy", "check")])
def test_no_argument_shows_a_secret(words: tuple[str, ...]) -> None:
    for address in ADDRESSES:
        if address.startswith("s3://"):  # that is a request, and its answer names no key
            continue
        done = invoke(*words, address)
        check_refused(done, 2, "")
        assert SECRET not in done.stderr


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """The address of a server of Prefect's that keeps its database in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (Path(sys.executable).with_name("prefect"), "server", "start", "--port", str(port))
    with (folder / "prefect-server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"PREFECT_HOME": str(folder / "prefect")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert wait_until(lambda: answers(f"http://127.0.0.1:{port}/api/health"))
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    server = MlflowServer(folder)
    server.start()
    try:
        yield server.uri
    finally:
        server.kill()


def signed_table(benchmark: Path, folder: Path, site: WebServer) -> Path:
    """The benchmark's test pictures: half on a web server, all with a signed page beside them."""
    with (benchmark / "metadata.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    for number, row in enumerate(rows):
        image = benchmark / row["file_name"]
        site.files[f"/{image.name}"] = image.read_bytes()
        row["file_name"] = f"{site.address}/{image.name}" if number % 2 else str(image)
        row["mask"] = str(benchmark / row["mask"])
        row["page"] = f"https://there/{number}?X-Amz-Signature={SECRET}"
    path = folder / "list.csv"
    with path.open("w") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def with_secret(address: str) -> str:
    return address.replace("://", f"://me:{SECRET}@")


def holds_secret(path: Path) -> bool:
    if path.suffix == ".parquet":  # which is compressed
        return SECRET in str(pq.read_table(path).to_pydict())
    return SECRET.encode() in path.read_bytes()


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_run_leaves_no_secret(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> None:
    left, given = tmp_path / "left", tmp_path / "given"
    for folder in (left, given, left / "mlflow"):
        folder.mkdir()
    with (
        serve() as site,
        prefect_server(left) as prefect,
        mlflow_server(left / "mlflow") as mlflow,
    ):
        data = signed_table(benchmark_folder, given, site)
        environment = os.environ | {
            "SIGHTLINE_HOME": str(left / "home"),
            "PREFECT_HOME": str(left / "prefect-client"),
            "PREFECT_API_URL": with_secret(prefect),
            "MLFLOW_TRACKING_URI": with_secret(mlflow),
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [
                *(SIGHTLINE, "audit", "--data", str(data), "--allow-addresses", site.address),
                *("--model", str(bundle), "--out", str(left / "run"), "--workers", "1"),
            ],
            env=environment,
            cwd=left,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "page" in done.stderr  # is said
    assert "not published" not in done.stderr
    assert len(site.requests) >= 32
    assert SECRET not in done.stdout + done.stderr
    files = [path for path in left.rglob("*") if path.is_file()]
    assert {"run.json", "summary.json", "report.html", "mlflow.db", "prefect.db"} <= {
        path.name for path in files
    }
    assert [path for path in files if holds_secret(path)] == []
