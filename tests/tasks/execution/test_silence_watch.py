"""When workers are silent, the line where they wait is said; in the end the run gives up."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster, as_completed

from models.errors import UnfinishedRun
from tasks.execution import silence_watch
from tasks.execution.silence_watch import SilenceWatch, describe_place

NETWORK = "import time\n\n\ndef forward(seconds):\n    time.sleep(seconds)\n"

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def forward(tmp_path: Path) -> Callable[[float], None]:
    """The user's code, which sleeps."""
    file = tmp_path / "network.py"
    file.write_text(NETWORK)
    spec = importlib.util.spec_from_file_location("network", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[float], None] = module.forward
    return function


def wait(client: Client, forward: Callable[[float], None], seconds: float) -> int:
    """How many of two tasks ended, one after the other."""
    futures = [client.submit(forward, seconds, pure=False) for _ in range(2)]
    done = 0
    with SilenceWatch(client, lambda: futures) as watch:
        for _ in as_completed(futures, loop=client.loop):
            watch.end_silence()
            done += 1
    return done


def test_the_line_of_the_users_code_is_said(
    client: Client,
    forward: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(silence_watch, "SAID_AFTER", 0.2)
    caplog.set_level(logging.INFO, logger="sightline")
    assert wait(client, forward, 0.6) == 2
    assert "s; workers are at network.py line 5 (forward)" in caplog.text


def test_a_cluster_without_workers_is_said(
    forward: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(silence_watch, "SAID_AFTER", 0.2)
    monkeypatch.setattr(silence_watch, "LIMIT", 0.6)
    caplog.set_level(logging.INFO, logger="sightline")
    none = {"n_workers": 0, "processes": False, "silence_logs": False}
    with (
        LocalCluster(**none, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(UnfinishedRun, match="the cluster has no worker, and waits for one"),
    ):
        wait(client, forward, 0.0)
    assert "s; the cluster has no worker" in caplog.text


def test_who_never_comes_back_is_given_up(
    client: Client, forward: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence_watch, "LIMIT", 0.5)
    start = time.monotonic()
    words = r"no shard has ended for 0.5 s; workers are at network.py line 5 \(forward\)"
    with pytest.raises(UnfinishedRun, match=words):
        wait(client, forward, 5)
    assert time.monotonic() - start < 5


def test_our_own_lines_and_those_of_packages_are_said_only_where_there_are_no_others() -> None:
    ours = 'File "/elsewhere/sightline/tasks/execution/shard_queue.py", line 3, in _run_shard\n\tx'
    torch = 'File "/x/lib/python3.11/site-packages/torch/nn/modules/conv.py", line 9, in forward'
    users = 'File "/home/me/tasks/net.py", line 7, in forward\n\tsleep'
    assert describe_place([ours, users, torch]) == "at net.py line 7 (forward)"
    assert describe_place([ours, torch]) == "at conv.py line 9 (forward)"
    assert describe_place([]) == "at no line of Python"
