"""Everything on object storage: a real S3 server on loopback, workers in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextvars import Context
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from upath import UPath

from models.addresses import as_path
from tasks.runs import open_run
from tasks.storage import lock
from tasks.storage.lock import hold_lock
from tests.support.command_line import invoke


@pytest.fixture(scope="module")
def bucket() -> Iterator[UPath]:
    """An empty bucket on its own server, whose address is in the environment, as for users."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            patch.delenv(name, raising=False)
        bucket = as_path("s3://pictures")
        bucket.fs.mkdir("pictures")
        yield bucket
    server.stop()


@pytest.fixture(scope="module")
def data(bucket: UPath, benchmark_folder: Path) -> UPath:
    """The benchmark's test pictures, masks and table, as objects."""
    for path in benchmark_folder.rglob("*"):
        if path.is_file() and "train" not in path.parts:
            (bucket / path.relative_to(benchmark_folder).as_posix()).write_bytes(path.read_bytes())
    return bucket


def audit(*words: str) -> Result:
    return invoke("audit", *words)


@pytest.mark.full  # 40 seconds; locks and addresses on object storage are in make test
@pytest.mark.usefixtures("prefect_server")
def test_an_audit_lives_on_object_storage(data: UPath, bundle: Path, tmp_path: Path) -> None:
    how = ("--model", str(bundle), "--shard-size", "32", "--workers", "1")
    where = ("--mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}")
    first = ("--data", "s3://pictures", "--split", "test", "--out", "s3://pictures/runs/first")
    done = audit(*first, *how, *where)
    assert done.exit_code == 0, done.stderr
    run = open_run("s3://pictures/runs/first")
    assert run.summary().images.predicted == 64
    assert run.summary().images.scored == 64
    assert len(run.maps(["images/test/00003.png"], "grad_cam")) == 1
    assert b"<html" in (data / "runs/first/report.html").read_bytes()
    names = [path.name for path in (data / "runs/first").rglob("*") if path.is_file()]
    assert not [name for name in names if name.startswith(".")]
    assert not (data / "runs/first/lock").exists()

    again = audit(*first, *how, *where)
    assert "nothing is left to compute" in again.stderr

    second = ("--data", "s3://pictures", "--split", "test", "--out", "s3://pictures/runs/second")
    taken = audit(*second, *how, *where, "--reuse", "s3://pictures/runs/first", "--json")
    assert taken.exit_code == 0, taken.stderr
    assert json.loads(taken.stdout)["cost"]["computed"] == 0

    listed = invoke("runs", "s3://pictures/runs", "--json")
    assert {entry["state"] for entry in json.loads(listed.stdout)} == {"finished"}
    removed = invoke("remove", "s3://pictures/runs/second", "--yes")
    assert removed.exit_code == 0, removed.stderr
    assert not (data / "runs/second/run.json").exists()

    local = tmp_path / "part.parquet"
    local.write_bytes((data / "runs/first/predictions/part-00000.parquet").read_bytes())
    assert duckdb.sql(f"select count(*) from '{local}'").fetchall() == [(32,)]


def test_a_lock_on_object_storage_refuses_the_second(data: UPath) -> None:
    def hold() -> None:
        with hold_lock(str(data / "runs/locked")):
            pytest.fail("two writers")

    with (
        hold_lock(str(data / "runs/locked")),
        pytest.raises(ValueError, match=f"process {os.getpid()}"),
    ):
        Context().run(hold)  # as another command's


def test_a_lock_outlives_a_storage_that_is_away(
    bucket: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock cannot be renewed for a while: that is no reason to stop or fail."""
    del bucket
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(lock, "HEARTBEAT", 0.1)
    stopped: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    S3FileSystem.clear_instance_cache()  # else it still talks to the other server
    try:
        run = as_path("s3://others/run")
        run.fs.mkdir("others")
        with hold_lock(str(run)):
            server.stop()
            time.sleep(1)
            assert any(thread.name == "lock" for thread in threading.enumerate())
    finally:
        signal.signal(signal.SIGTERM, before)
        S3FileSystem.clear_instance_cache()
    assert stopped == []


def test_a_bucket_that_is_not_there_is_one_line(bundle: Path, bucket: UPath) -> None:
    del bucket
    done = audit("--data", "s3://nowhere/x", "--model", str(bundle), "--out", "s3://pictures/r")
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
