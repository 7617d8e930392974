"""The doctor tries the addresses of a run for real, and leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import s3fs
from distributed import LocalCluster

from flows.runtime import run_addresses
from flows.runtime.findings import Finding
from flows.runtime.run_addresses import check_clock, check_dask, check_data, check_out
from tests.support.command_line import invoke
from tests.support.dask_cluster import ROOT, running_cluster
from tests.support.other_user import not_root
from tests.support.other_version import pretend_version
from tests.support.s3_server import serve_bucket
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


def states(findings: Iterator[Finding]) -> list[str]:
    return [finding.state for finding in findings]


def test_data_is_read(benchmark_folder: Path, tmp_path: Path) -> None:
    for address in (benchmark_folder, benchmark_folder / "metadata.csv", "torchvision:CIFAR10"):
        assert check_data(str(address)).state == "ok"
    nowhere = check_data(str(tmp_path / "nowhere"))
    assert nowhere.state == "missing"
    assert "nowhere cannot be read" in nowhere.text
    assert "No such file or directory" in nowhere.text
    assert check_data("gopher://host/data").state == "missing"


def test_a_file_is_written_where_the_run_would_be(tmp_path: Path) -> None:
    out = tmp_path / "not/yet"
    assert "missing" not in states(check_out(str(out)))
    assert list(tmp_path.iterdir()) == []  # neither the folder nor the file


def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with not_root():
        (refused,) = check_out(str(tmp_path / "run"))
    assert refused.state == "missing"
    assert "Permission denied): give another --out" in refused.text


def test_a_bucket_is_tried_too() -> None:
    with serve_bucket("results") as bucket:
        assert states(check_out(f"{bucket}/runs/one")) == ["ok", "ok"]
        assert s3fs.S3FileSystem().find(bucket) == []
        assert check_data(bucket).state == "ok"
        (refused,) = check_out("s3://another-bucket/run")
        assert refused.state == "missing"


def test_a_scheduler_needs_a_worker() -> None:
    one = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with LocalCluster(**one, dashboard_address="127.0.0.1:0") as dask:
        with_one = check_dask(dask.scheduler_address)
        assert (with_one.state, with_one.text.endswith("with 1 worker")) == ("ok", True)
        dask.scale(0)
        end = time.monotonic() + 60
        while (alone := check_dask(dask.scheduler_address)).state == "ok":
            assert time.monotonic() < end
    assert "has no worker: start one (dask worker tcp://" in alone.text


def test_a_scheduler_needs_workers_of_our_version(tmp_path: Path) -> None:
    pretend_version(tmp_path / "other", "torch", "0.0.9")
    with running_cluster(tmp_path, workers=0) as cluster:
        cluster.add_worker(PYTHONPATH=f"{tmp_path / 'other'}:{ROOT}")
        assert wait_until(lambda: "has no worker" not in check_dask(cluster.address).text)
        found = check_dask(cluster.address)
    assert found.state == "missing"
    assert "has torch 0.0.9, and this command has torch " in found.text


@contextmanager
def server_at(ahead: float) -> Iterator[str]:
    """A web server whose clock is so many seconds ahead."""

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)  # also what refuses tells its time
            self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (0, "ok", "has our time"),
        (60, "odd", "60 s ahead of ours"),
        (-3600, "missing", "behind ours: set both by NTP"),
    ],
)
def test_the_clock_of_a_server_is_compared(ahead: float, state: str, words: str) -> None:
    with server_at(ahead) as url:
        finding = run_addresses.check_server_clock("MLflow", url)
    assert finding is not None
    assert finding.state == state
    assert words in finding.text


def test_a_server_that_is_away_tells_no_time() -> None:
    assert run_addresses.check_server_clock("MLflow", "http://127.0.0.1:9") is None
    assert run_addresses.check_server_clock("MLflow", "sqlite:///mlflow.db") is None
    assert check_clock(-1.0, "it").state == "ok"


def test_the_command_names_what_would_stop_a_run(benchmark_folder: Path, tmp_path: Path) -> None:
    good = ("--data", str(benchmark_folder), "--out", str(tmp_path / "run"))
    done = invoke("doctor", *good)
    assert done.exit_code == 0, done.stderr
    assert f"data: {benchmark_folder} is readable" in done.stdout
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    bad = invoke("doctor", "--data", str(tmp_path / "nowhere"), "--dask", "tcp://127.0.0.1:9")
    assert bad.exit_code == 2
    assert bad.stderr == "sightline: 2 essential things are missing: see the lines above\n"
