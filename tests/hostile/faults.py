"""Faults around a command: outputs that are closed, servers that say nothing, disks that are full,
files and processes that vanish, signals."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from tests.hostile.commands import AUDIT
from tests.support.command_line import SIGHTLINE
from tests.support.silent_server import silent_server, trickling_server
from tests.support.waiting import wait_until

Act = Callable[[subprocess.Popen[str], Path], object]
Prepare = Callable[[Path], object]
Server = Callable[[], AbstractContextManager[str]]

SERVER = "SERVER"  # in words and in the environment: HOST:PORT
DONE, REFUSED, STOPPED = frozenset({0}), frozenset({2}), frozenset({3})
SHORT = 180.0  # seconds within which a command must have ended that computes nothing
LONG = 400.0  # one that audits; it takes 30 on two quiet cores
SHOW = ("show", "run")
SMALL = (*AUDIT, "--limit", "12")
SLOW = (*AUDIT, "--shard-size", "2", "--methods", "grad_cam_pp,rise:masks=2000")
ONE_WORKER = ("--workers", "1")
NOWHERE = "http://127.0.0.1:9"  # refuses every connection
PREFECT = "home/prefect/prefect.db"


def nothing(*_: object) -> None:
    """No preparation, or no disturbance."""


@dataclass(frozen=True)
class Fault:
    """A command, and what goes wrong around it."""

    name: str
    words: tuple[str, ...]
    codes: frozenset[int]
    says: str = ""  # stands in what it prints
    shell: str = '"$@"'  # how a shell runs it
    environment: Mapping[str, str | None] = field(default_factory=dict)
    prepare: Prepare = nothing
    disturb: Act = nothing
    server: Server | None = None
    seconds: float = SHORT
    again: bool = False  # the same command, undisturbed, succeeds afterwards
    leaves_run: bool = False  # what was computed is there

    def __str__(self) -> str:
        return self.name


def all_faults() -> list[Fault]:
    return [*outputs(), *places(), *servers(), *databases(), *locks(), *signals(), *vanishing()]


def outputs() -> Iterator[Fault]:
    yield Fault("stdout is closed", SHOW, DONE, shell='"$@" >&-')
    yield Fault("nobody reads stdout", SHOW, DONE, shell='"$@" | true; exit ${PIPESTATUS[0]}')
    yield Fault("no disk holds stdout", SHOW, STOPPED, "No space left", shell='"$@" >/dev/full')
    yield Fault("stderr is closed", ("show", "nowhere"), REFUSED, shell='"$@" 2>&-')
    yield Fault("stdin is closed", ("remove", "run"), REFUSED, "pass --yes", shell='"$@" <&-')
    yield Fault("an ASCII locale", SHOW, DONE, environment={"LC_ALL": "C", "PYTHONUTF8": "0"})
    yield Fault("a terminal of one column", SHOW, DONE, environment={"COLUMNS": "1"})
    yield Fault("no file may grow", BUNDLE, STOPPED, "File too large", shell='ulimit -f 100; "$@"')
    yield Fault("few files may be open", SHOW, DONE, shell='ulimit -n 32; "$@"')


BUNDLE = ("bundle", "--model", "model", "--out", "bundle")


def places() -> Iterator[Fault]:
    gone = 'mkdir gone && cd gone && rmdir ../gone && "$@"'
    yield Fault("the working folder is gone", SHOW, REFUSED, "working folder is gone", shell=gone)
    for home in (None, "/proc", "/nowhere"):
        yield Fault(f"HOME is {home}", ("runs", "."), DONE, environment={"HOME": home})
    for home in ("/sys/home", "/dev/null", "model/model.json"):
        environment = {"SIGHTLINE_HOME": home}
        yield Fault(f"SIGHTLINE_HOME is {home}", SMALL, REFUSED, home, environment=environment)
    read_only = (*AUDIT, "--out", "/sys/run")
    yield Fault("--out on a read-only disk", read_only, REFUSED, "--out /sys/run cannot be written")


def servers() -> Iterator[Fault]:
    kinds: dict[str, Server] = {"says nothing": silent_server, "trickles": trickling_server}
    for name, server in kinds.items():
        environment = {"PREFECT_API_URL": f"http://{SERVER}/api"}
        yield Fault(
            f"Prefect's server {name}",
            SMALL,
            STOPPED,
            "PREFECT_API_URL",
            environment=environment,
            server=server,
            seconds=LONG,
        )
        publish = ("publish", "run", "--mlflow", f"http://{SERVER}")
        yield Fault(f"MLflow {name}", publish, STOPPED, server=server, seconds=LONG)
    environment = {"PREFECT_API_URL": f"{NOWHERE}/api"}
    yield Fault("Prefect's server is away", SMALL, STOPPED, NOWHERE, environment=environment)
    yield Fault("MLflow is away", ("publish", "run", "--mlflow", NOWHERE), STOPPED)
    away = (*SMALL, "--mlflow", NOWHERE)
    codes = frozenset({0, 3})
    yield Fault("MLflow is away from an audit", away, codes, seconds=LONG, leaves_run=True)
    silent = (*SMALL, "--dask", f"tcp://{SERVER}")
    yield Fault("Dask says nothing", silent, REFUSED, "no Dask", server=silent_server, seconds=LONG)
    refused = (*SMALL, "--dask", "tcp://127.0.0.1:9")
    yield Fault("Dask is away", refused, REFUSED, "no Dask scheduler answers")


def databases() -> Iterator[Fault]:
    for name, write in {"damaged": write_garbage, "of a newer Prefect": write_revision}.items():
        prepare = partial(write, PREFECT)
        words = "damaged" if write is write_garbage else "another version of Prefect"
        yield Fault(f"Prefect's database is {name}", SMALL, REFUSED, words, prepare=prepare)
    publish = ("publish", "run", "--mlflow", "sqlite:///mlflow.db")
    for name, write, words in (
        ("damaged", write_garbage, "is not a database"),
        ("of a newer MLflow", write_revision, "install that version, or move the database away"),
    ):
        prepare = partial(write, "mlflow.db")
        yield Fault(f"MLflow's database is {name}", publish, STOPPED, words, prepare=prepare)


def write_garbage(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 16)


def write_revision(name: str, folder: Path) -> None:
    """A database with a schema that nobody knows yet."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / name)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")


def locks() -> Iterator[Fault]:
    year = 365 * 24 * 3600
    prepare = partial(write_claim, year, 1)
    words = "last seen in the future"
    yield Fault("a clock that is a year ahead", SMALL, REFUSED, words, prepare=prepare)
    prepare = partial(write_claim, 0, 1)
    yield Fault("another machine writes", SMALL, REFUSED, "is being written by", prepare=prepare)
    prepare = partial(write_claim, -year, 1)
    yield Fault("a writer died a year ago", SMALL, DONE, prepare=prepare, seconds=LONG)
    yield Fault("two commands at once", SLOW, DONE, disturb=start_another, seconds=LONG)


def write_claim(ahead: float, process: int, folder: Path) -> None:
    token = "a" * 32
    since = time.time() + ahead
    claim = {"token": token, "host": "other", "machine": "other", "pid": process, "born": 1.0}
    claim |= {"since": since, "beat": since, "holding": True}
    (folder / "out/lock").mkdir(parents=True)
    file = folder / f"out/lock/{token}.json"
    file.write_text(json.dumps(claim))
    os.utime(file, (since, since))  # the storage's time is what counts


def start_another(process: subprocess.Popen[str], folder: Path) -> None:
    """The same command while the first one computes: it is refused."""
    await_part(process, folder)
    other = subprocess.run(
        [SIGHTLINE, *SLOW],
        cwd=folder,
        env=os.environ | {"SIGHTLINE_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 2, other.stderr
    assert "is being written by process" in other.stderr


def await_part(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the run has its first part."""
    parts = folder / "out/predictions"
    assert wait_until(lambda: process.poll() is not None or any(parts.glob("part-*")))


def signals() -> Iterator[Fault]:
    for name in ("SIGINT", "SIGTERM"):
        send = partial(send_when_started, signal.Signals[name])
        yield Fault(f"{name} in the first second", SLOW, STOPPED, "stopped", disturb=send)
        send = partial(send_when_computing, signal.Signals[name])
        yield Fault(
            f"{name} while it computes",
            SLOW,
            STOPPED,
            "the same command continues",
            disturb=send,
            seconds=LONG,
        )
    killed = frozenset({-signal.SIGKILL})
    send = partial(send_when_computing, signal.SIGKILL)
    yield Fault("SIGKILL", SLOW, killed, disturb=send, seconds=LONG, again=True, leaves_run=True)
    hung_up = frozenset({-signal.SIGHUP, 3})
    send = partial(send_when_computing, signal.SIGHUP)
    shell = 'exec env --default-signal=HUP "$@"'  # also where the tests run under nohup
    yield Fault("the terminal is closed", SLOW, hung_up, shell=shell, disturb=send, seconds=LONG)


def send_when_started(number: int, process: subprocess.Popen[str], folder: Path) -> None:
    """As soon as the command has its handlers: it has opened its home."""
    assert wait_until(lambda: process.poll() is not None or (folder / "home").exists())
    process.send_signal(number)


def send_when_computing(number: int, process: subprocess.Popen[str], folder: Path) -> None:
    await_part(process, folder)
    process.send_signal(number)


def vanishing() -> Iterator[Fault]:
    yield Fault(
        "a picture is deleted before it is read",
        SMALL,
        DONE,
        "11 predicted, 1 failed",
        prepare=partial(remove_picture, 11),
        seconds=LONG,
    )
    yield Fault(
        "the run folder is deleted while it is written",
        SLOW,
        REFUSED,
        "was deleted while it was written",
        disturb=remove_run,
        seconds=LONG,
        again=True,
    )
    for name, pattern, options in (
        ("a worker is killed", "spawn_main", ONE_WORKER),
        ("Prefect's server is killed", "serve_prefect", ()),
    ):
        kill = partial(kill_child, pattern)
        words = (*SLOW, *options)
        yield Fault(name, words, DONE, disturb=kill, seconds=LONG, leaves_run=True)


def remove_picture(number: int, folder: Path) -> None:
    """The table still names it."""
    data = (folder / "data").resolve()
    (folder / "data").unlink()
    subprocess.run(["cp", "-r", str(data), str(folder / "data")], check=True)
    (folder / f"data/images/test/{number:05d}.png").unlink()


def remove_run(process: subprocess.Popen[str], folder: Path) -> None:
    """As a user does, again where a part was written meanwhile."""
    await_part(process, folder)
    remove = ["rm", "-rf", str(folder / "out")]
    assert wait_until(lambda: subprocess.run(remove, check=False).returncode == 0)


def kill_child(pattern: str, process: subprocess.Popen[str], folder: Path) -> None:
    await_part(process, folder)
    for child in psutil.Process(process.pid).children(recursive=True):
        if any(pattern in word for word in child.cmdline()):
            child.kill()
            return
    raise AssertionError(f"no child of {process.pid} is {pattern}")
