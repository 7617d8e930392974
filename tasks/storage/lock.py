"""One writer for a run folder: claims with an owner and an age, safe on any storage.

Storage without an exclusive create still lists what it holds. So everybody writes a claim of his
own, then looks: whoever sees another living claim withdraws his. Two may both withdraw; never do
two both go on. The claims of the dead are deleted, each is a file of its own and nobody else's.
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
BEAT = 15.0  # seconds between two signs of life
STALE = 120.0  # seconds without one after which an owner elsewhere is taken for dead
TRIES = 5  # of two that claim in the same moment


@dataclass(frozen=True)
class Claim:
    """Who writes, and when he was last seen. A machine is a boot and a set of process numbers."""

    token: str
    host: str
    machine: str
    pid: int
    born: float  # of the process, in seconds: numbers are given again
    since: float
    beat: float
    holding: bool = False

    @property
    def alive(self) -> bool:
        if self.machine != _machine():
            return time.time() - self.beat < STALE
        try:
            process = psutil.Process(self.pid)
            same: bool = abs(process.create_time() - self.born) < 1
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def told(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        seen = max(0, round(time.time() - self.beat))
        return f"process {self.pid} on {self.host} since {since}, last seen {seen} s ago"


@contextmanager
def hold_lock(run: str) -> Iterator[None]:
    """The lock of a run folder while the block runs; refuses at once when it is somebody's."""
    path, claim = _claim(as_path(run))
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, claim, done), daemon=True, name="lock")
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()
        with suppress(OSError), as_os_errors():  # storage that is away: the claim goes stale
            _withdraw(path)


def _beat(path: UPath, claim: Claim, done: threading.Event) -> None:
    """Signs of life; a claim that somebody else took for a dead one's ends this process."""
    while not done.wait(BEAT):
        try:
            with as_os_errors():
                path.stat()
                _write(path, replace(claim, beat=time.time()))
        except FileNotFoundError:
            log.error("%s was taken over by another run: this one stops", path.parent.parent)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError as error:  # storage that is away for a while
            log.debug("no sign of life: %s", error)


def owner_of(run: UPath) -> Claim | None:
    """The living claim on a run folder, if there is one."""
    return next((claim for _, claim in _claims(run) if claim.alive), None)


def _claim(run: UPath) -> tuple[UPath, Claim]:
    other = None
    for _ in range(TRIES):
        own = _own_claim()
        path = run / LOCK / f"{own.token}.json"
        _write(path, own)
        other = _living_other(run, path)
        if other is None:
            holding = replace(own, holding=True)
            _write(path, holding)
            return path, holding
        _withdraw(path)
        if other.holding:
            break
        time.sleep(random.uniform(0.05, 0.5))
    assert other is not None
    raise UserError(
        f"{run} is being written by {other.told()}: wait for it, stop it, or give another --out"
    )


def _living_other(run: UPath, own: UPath) -> Claim | None:
    """Somebody else's living claim; those of the dead are deleted on the way."""
    for path, claim in _claims(run):
        if path.name == own.name:
            continue
        if claim.alive:
            return claim
        path.unlink(missing_ok=True)
    return None


def _claims(run: UPath) -> Iterator[tuple[UPath, Claim]]:
    folder = run / LOCK
    if folder.is_dir():
        for path in folder.glob("*.json"):
            with suppress(FileNotFoundError):  # withdrawn meanwhile
                yield path, _read(path)


def _read(path: UPath) -> Claim:
    try:
        return Claim(**json.loads(path.read_text()))
    except (ValueError, TypeError):  # half written when its machine died, or of another version
        when = path.stat().st_mtime
        return Claim(path.stem, "an unknown host", "", 0, 0.0, since=when, beat=when, holding=True)


def _write(path: UPath, claim: Claim) -> None:
    text = json.dumps(asdict(claim))
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # somebody withdrew, and the folder with him
            write_text(path, text)
            return
    write_text(path, text)


def _withdraw(path: UPath) -> None:
    path.unlink(missing_ok=True)
    if is_local(path):
        for folder in (path.parent, path.parent.parent):  # what nothing else was written to
            with suppress(OSError):
                folder.rmdir()


def _own_claim() -> Claim:
    now = time.time()
    born = psutil.Process().create_time()
    return Claim(uuid4().hex, socket.gethostname(), _machine(), os.getpid(), born, now, now)


def _machine() -> str:
    """Process numbers mean the same only within one boot and one container."""
    boot, numbers = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        return f"{boot.read_text().strip()} {os.readlink(numbers)}"  # noqa: PTH115
    return socket.gethostname()
