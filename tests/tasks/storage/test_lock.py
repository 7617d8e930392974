"""Two writers never share a run folder, and dead writers release it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event, Thread

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from models.addresses import as_path
from models.errors import UserError
from tasks.storage import lock
from tasks.storage.lock import hold_lock, owner_of
from tests.support.waiting import wait_until

HOLD = """
import sys, time
from tasks.storage.lock import hold_lock
with hold_lock(sys.argv[1]):
    print(1, flush=True)
    time.sleep(600)
"""


OTHER = "0123456789abcdef" * 2  # a writer's token


@pytest.fixture(params=["local", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    return (
        as_path(tmp_path / "run")
        if request.param == "local"
        else as_path(f"memory://{tmp_path}/run")
    )


def claim(run: UPath, written: float = 0.0, /, **changes: object) -> UPath:
    """The claim of a process on another machine, written so many seconds ago, says the storage."""
    now = time.time()
    other: dict[str, object] = {
        "token": OTHER,
        "host": "elsewhere",
        "machine": "another boot",
        "pid": 4711,
        "born": now,
        "since": now,
        "beat": now,
        "holding": True,
    }
    path = run / "lock" / f"{OTHER}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(other | changes))
    date = now - written
    if isinstance(path, Path):
        os.utime(path, (date, date))
    else:
        path.fs.store[path.path].modified = datetime.fromtimestamp(date, UTC)
    return path


def test_the_lock_is_there_while_held_and_gone_afterwards(run: UPath) -> None:
    with hold_lock(str(run)):
        owner = owner_of(run)
        assert owner is not None
        assert owner.pid == os.getpid()
    assert owner_of(run) is None
    assert not list(run.rglob("*.json"))


def test_a_second_writer_is_refused_with_the_owner_and_the_age(run: UPath) -> None:
    def hold() -> None:
        with hold_lock(str(run)):
            pytest.fail("two writers")

    with (
        hold_lock(str(run)),
        pytest.raises(UserError, match=rf"process {os.getpid()} on .* last seen \d+ s ago"),
    ):
        Context().run(hold)  # as another command's


def test_who_holds_it_may_hold_it_again(run: UPath) -> None:
    with hold_lock(str(run)):
        with hold_lock(str(run)):
            pass
        assert owner_of(run) is not None
    assert owner_of(run) is None


def test_an_owner_elsewhere_is_alive_while_its_heartbeat_is_fresh(run: UPath) -> None:
    claim(run)
    with pytest.raises(UserError, match="process 4711 on elsewhere"), hold_lock(str(run)):
        pytest.fail("two writers")


def test_an_owner_elsewhere_without_a_heartbeat_is_replaced(run: UPath) -> None:
    stale = claim(run, lock.STALE_AFTER + 1)
    with hold_lock(str(run)):
        assert not stale.exists()


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
def test_an_owners_clock_may_be_an_hour_apart(run: UPath, hour: float) -> None:
    """The storage dates both claims by one clock."""
    there = time.time() + hour
    path = claim(run, since=there, beat=there)
    with pytest.raises(UserError, match="process 4711 on elsewhere"), hold_lock(str(run)):
        pytest.fail("two writers")
    path.unlink()
    stale = claim(run, lock.STALE_AFTER + 1, since=there, beat=there)
    with hold_lock(str(run)):
        assert not stale.exists()


def test_a_dead_process_of_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    run = as_path(tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(UserError, match=f"process {process.pid}"), hold_lock(str(run)):
        pytest.fail("two writers")
    process.kill()
    dead = psutil.Process(process.pid)
    assert wait_until(lambda: dead.status() == psutil.STATUS_ZOMBIE)  # until it is waited for
    with hold_lock(str(run)):
        assert owner_of(run) is not None
    process.communicate()


def test_a_reused_process_number_is_another_process(run: UPath) -> None:
    with hold_lock(str(run)):
        owner = owner_of(run)
    assert owner is not None
    claim(run, machine=owner.machine, pid=os.getpid(), born=owner.born - 1000)
    with hold_lock(str(run)):
        pass


def test_of_many_that_start_at_once_at_most_one_writes(run: UPath) -> None:
    """Two may both withdraw; two never both go on."""
    together, answered = Barrier(4), Barrier(4)

    def race(_: int) -> bool:
        together.wait()
        won = False
        with suppress(UserError), hold_lock(str(run)):
            won = True
            answered.wait()
        if not won:
            answered.wait()
        return won

    with ThreadPoolExecutor(4) as pool:
        won = [sum(pool.map(race, range(4))) for _ in range(5)]
    assert max(won) == 1


def test_a_claim_that_was_half_written_goes_stale(tmp_path: Path) -> None:
    run = as_path(tmp_path / "run")
    path = claim(run)
    path.write_text("")
    with pytest.raises(UserError, match="an unknown host"), hold_lock(str(run)):
        pytest.fail("two writers")
    long_ago = time.time() - lock.STALE_AFTER - 1
    os.utime(path, (long_ago, long_ago))
    with hold_lock(str(run)):
        assert path.exists()  # what does not say whose it is, is not deleted


WRONG: list[dict[str, object]] = [
    {"pid": "4711"},
    {"pid": -1},
    {"pid": 10**30},
    {"born": None},
    {"since": "yesterday"},
    {"since": 1e300},
    {"beat": float("nan")},
    {"beat": float("inf")},
    {"host": ["elsewhere"]},
    {"more": 1},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_claim_of_wrong_types_is_that_of_an_unknown_writer(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    run = as_path(tmp_path / "run")
    claim(run, **changes)
    with pytest.raises(UserError, match="an unknown host") as caught, hold_lock(str(run)):
        pytest.fail("two writers")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_claim_are_told_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    run = as_path(tmp_path_factory.mktemp("lock") / "run")
    claim(run).write_bytes(content)
    with pytest.raises(UserError, match="is being written by"), hold_lock(str(run)):
        pytest.fail("two writers")


def test_files_that_are_no_claims_are_neither_read_nor_deleted(run: UPath) -> None:
    mine = run / "lock" / "mine.json"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("{}")
    with hold_lock(str(run)):
        pass
    assert mine.read_text() == "{}"


def test_who_cannot_read_the_claims_leaves_none(tmp_path: Path) -> None:
    """It may be a server: its own claim would be alive for as long as it runs."""
    run = as_path(tmp_path / "run")
    unreadable = run / "lock" / f"{OTHER}.json"
    unreadable.mkdir(parents=True)
    with pytest.raises(IsADirectoryError), hold_lock(str(run)):
        pytest.fail("locked")
    unreadable.rmdir()
    with hold_lock(str(run)):
        pass


def test_a_clock_that_is_ahead_is_told_as_what_it_is(run: UPath) -> None:
    year = 365 * 24 * 3600
    path = claim(run, -year)
    told = f"in the future, at .* the clock there, or here, is wrong; .* delete lock/{path.name}"
    with pytest.raises(UserError, match=told), hold_lock(str(run)):
        pytest.fail("two writers")
    path.unlink()
    with hold_lock(str(run)):
        pass


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_lock_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").mkdir()
    path = tmp_path / "run/lock"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path / ("mine" if kind == "link" else "nowhere"))
    with (
        pytest.raises(UserError, match="lock is not a folder"),
        hold_lock(str(tmp_path / "run")),
    ):
        pytest.fail("locked")
    assert list((tmp_path / "mine").iterdir()) == []


def test_an_empty_folder_of_the_users_stays(tmp_path: Path) -> None:
    with hold_lock(str(tmp_path / "new")):
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    with hold_lock(str(tmp_path / "mine")):
        pass
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize("what", ["is written by another", "was written by another", "is gone"])
def test_a_writer_that_was_taken_over_stops(
    run: UPath, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the other one has ended since; one whose run was deleted says so itself, at its
    next part."""
    stopped: list[bool] = []
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    try:
        with hold_lock(str(run)):
            if what == "was written by another":
                (run / "run.json").write_text("{}")
            elif what == "is gone":  # and a worker has written a part since
                (run / "predictions").mkdir()
                (run / "predictions/part-00000.parquet").write_bytes(b"")
            for path in (run / "lock").glob("*.json"):
                if what == "is written by another":
                    path.rename(path.with_name(f"{'b' * 32}.json"))
                else:
                    path.unlink()
            if what != "is written by another" and (run / "lock").exists():
                (run / "lock").rmdir()
            assert wait_until(lambda: not keeps_alive())
            assert bool(stopped) == (what != "is gone")
    finally:
        signal.signal(signal.SIGTERM, before)


def keeps_alive() -> bool:
    return any(thread.name == "lock" for thread in threading.enumerate())


def test_the_claim_is_refreshed(run: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    with hold_lock(str(run)):
        first = last_beat(run)
        assert wait_until(lambda: last_beat(run) > first)


def last_beat(run: UPath) -> float:
    owner = owner_of(run)
    assert owner is not None
    return owner.beat


def test_who_is_patient_waits_for_another_writer(run: UPath) -> None:
    waited = Event()

    def write_later() -> None:
        with hold_lock(str(run), patience=30):
            waited.set()

    other = Thread(target=write_later)
    with hold_lock(str(run)):
        other.start()
        assert not waited.wait(0.5)
    other.join(30)
    assert waited.is_set()
