"""One writer for a run folder: claims with an owner and an age, safe on any storage.

Storage without an exclusive create can still be listed. So each writer writes a claim file of its
own, then lists the claims and withdraws if another one is alive. Two writers may both withdraw,
but never both go on. Claims of dead writers are deleted.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

import psutil
from upath import UPath

from models.addresses import as_os_errors, as_path, is_local
from models.errors import UserError
from tasks.storage.files import write_text

log = logging.getLogger("sightline")

LOCK = "lock"  # folder of the claims on a run
HEARTBEAT = 15.0  # seconds
STALE_AFTER = 120.0  # seconds without a heartbeat after which an owner on another machine is dead
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())  # by this command
TRIES = 5  # where two writers claim at the same moment


@dataclass(frozen=True)
class Claim:
    """Who is writing, and when it was last seen alive."""

    token: str
    host: str
    machine: str
    pid: int
    born: float  # when the process started: process numbers are reused
    since: float
    beat: float
    holding: bool = False

    @property
    def alive(self) -> bool:
        if self.machine != _machine_id():
            return time.time() - self.beat < STALE_AFTER
        try:
            process = psutil.Process(self.pid)
            same: bool = abs(process.create_time() - self.born) < 1
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def describe(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        seen = max(0, round(time.time() - self.beat))
        return f"process {self.pid} on {self.host} since {since}, last seen {seen} s ago"


@contextmanager
def hold_lock(run: str) -> Iterator[None]:
    """Hold the lock of a run folder; refuses at once when another writer has it.

    Inside a block that holds it already, nothing happens.
    """
    if run in _held.get():
        yield
        return
    path, claim = _acquire(as_path(run))
    done = threading.Event()
    heartbeat = threading.Thread(
        target=_keep_alive, args=(path, claim, done), daemon=True, name="lock"
    )
    heartbeat.start()
    token = _held.set(_held.get() | {run})
    try:
        yield
    finally:
        _held.reset(token)
        done.set()
        heartbeat.join()
        with suppress(OSError), as_os_errors():  # storage is unreachable: the claim will go stale
            _withdraw(path)


def _keep_alive(path: UPath, claim: Claim, done: threading.Event) -> None:
    """Refresh the claim; when another run has taken it for dead, end this process."""
    while not done.wait(HEARTBEAT):
        try:
            with as_os_errors():
                path.stat()
                _write_claim(path, replace(claim, beat=time.time()))
        except FileNotFoundError:
            log.error("%s was taken over by another run: this one stops", path.parent.parent)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError as error:  # storage is unreachable for a while
            log.debug("the claim could not be refreshed: %s", error)


def owner_of(run: UPath) -> Claim | None:
    """The living claim on a run folder, if there is one."""
    return next((claim for _, claim in _read_claims(run) if claim.alive), None)


def _acquire(run: UPath) -> tuple[UPath, Claim]:
    other = None
    for _ in range(TRIES):
        claim = _new_claim()
        path = run / LOCK / f"{claim.token}.json"
        _write_claim(path, claim)
        other = _find_other_claim(run, path)
        if other is None:
            holding = replace(claim, holding=True)
            _write_claim(path, holding)
            return path, holding
        _withdraw(path)
        if other.holding:
            break
        time.sleep(random.uniform(0.05, 0.5))
    assert other is not None
    raise UserError(
        f"{run} is being written by {other.describe()}: wait for it, stop it, or give another --out"
    )


def _find_other_claim(run: UPath, ours: UPath) -> Claim | None:
    """Another writer's living claim; claims of dead writers are deleted."""
    for path, claim in _read_claims(run):
        if path.name == ours.name:
            continue
        if claim.alive:
            return claim
        path.unlink(missing_ok=True)
    return None


def _read_claims(run: UPath) -> Iterator[tuple[UPath, Claim]]:
    folder = run / LOCK
    if folder.is_dir():
        for path in folder.glob("*.json"):
            with suppress(FileNotFoundError):  # withdrawn in the meantime
                yield path, _read_claim(path)


def _read_claim(path: UPath) -> Claim:
    try:
        return Claim(**json.loads(path.read_text()))
    except (ValueError, TypeError):  # half written when its machine died, or by another version
        written = path.stat().st_mtime
        return Claim(
            path.stem, "an unknown host", "", 0, 0.0, since=written, beat=written, holding=True
        )


def _write_claim(path: UPath, claim: Claim) -> None:
    text = json.dumps(asdict(claim))
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # another writer withdrew and removed the folder
            write_text(path, text)
            return
    write_text(path, text)


def _withdraw(path: UPath) -> None:
    path.unlink(missing_ok=True)
    if is_local(path):
        for folder in (path.parent, path.parent.parent):  # only where empty
            with suppress(OSError):
                folder.rmdir()


def _new_claim() -> Claim:
    now = time.time()
    born = psutil.Process().create_time()
    return Claim(uuid4().hex, socket.gethostname(), _machine_id(), os.getpid(), born, now, now)


def _machine_id() -> str:
    """Process numbers are comparable only within one boot and one container."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        return f"{boot.read_text().strip()} {os.readlink(namespace)}"  # noqa: PTH115
    return socket.gethostname()
