"""One writer for a run folder: claims with an owner and an age, safe on any storage.

Storage without an exclusive create can still be listed. So each writer writes a claim file of its
own, then lists the claims and withdraws if another one is alive. Two writers may both withdraw,
but never both go on. Claims of dead writers are deleted.
"""

from __future__ import annotations

import logging
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from upath import UPath

from models.addresses import as_os_errors, as_path, is_local
from models.errors import UserError, printable
from tasks.storage.files import write_text

log = logging.getLogger("sightline")

LOCK = "lock"  # folder of the claims on a run
HEARTBEAT = 15.0  # seconds
STALE_AFTER = 120.0  # seconds without a heartbeat after which an owner on another machine is dead
CLAIM = re.compile(r"[0-9a-f]{32}\.json")
LARGEST_PID = 2**31 - 1
LATEST = 253402300799.0  # the end of the year 9999
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())  # by this command
TRIES = 5  # where two writers claim at the same moment

Seconds = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]  # since 1970


class Claim(BaseModel):
    """Who is writing, and when it was last seen alive.

    The beat of a claim that was read is the time at which the storage says that it was written: the
    clocks of two machines may be hours apart, so a writer compares it with the time of its own
    claim. Who only looks writes none, and has nothing but this machine's clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    token: str
    host: str
    machine: str
    pid: int = Field(ge=0, le=LARGEST_PID)
    born: Seconds  # when the process started: process numbers are reused
    since: Seconds
    beat: Seconds
    holding: bool = False

    def is_alive(self, now: float) -> bool:
        """Elsewhere only its beat can say so."""
        if self.machine != _machine_id():
            return now - self.beat < STALE_AFTER
        try:
            process = psutil.Process(self.pid)
            same: bool = abs(process.create_time() - self.born) < 1
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def describe(self) -> str:
        seen = round(time.time() - self.beat)
        process = f"process {self.pid} on {printable(self.host)} since {_as_date(self.since)}"
        if seen < -STALE_AFTER:
            return (
                f"{process}, last seen in the future, at {_as_date(self.beat)}: the clock there, "
                f"or here, is wrong; if nothing writes it any more, delete {LOCK}/{self.token}.json"
            )
        return f"{process}, last seen {max(0, seen)} s ago"


@contextmanager
def hold_lock(run: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a run folder; refuses when another writer has it, and still has it after so
    many seconds.

    Inside a block that holds it already, nothing happens.
    """
    if run in _held.get():
        yield
        return
    folder = as_path(run)
    is_new = not folder.exists()
    path, claim = _acquire(folder, patience)
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
            if is_new and is_local(folder):
                folder.rmdir()  # only where empty


def _keep_alive(path: UPath, claim: Claim, done: threading.Event) -> None:
    """Refresh the claim; when another run has taken it for dead, end this process."""
    run = path.parent.parent
    while not done.wait(HEARTBEAT):
        try:
            with as_os_errors():
                if _refresh(path, claim):
                    continue
                if _is_gone(run):  # it says so itself when it writes
                    return
        except OSError as error:  # storage is unreachable for a while
            log.debug("the claim could not be refreshed: %s", error)
            continue
        log.error("%s was taken over by another run: this one stops", run)
        os.kill(os.getpid(), signal.SIGTERM)
        return


def _refresh(path: UPath, claim: Claim) -> bool:
    """Write the claim again; False where somebody has deleted it."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    _write_claim(path, claim.model_copy(update={"beat": time.time()}))
    return True


def _is_gone(run: UPath) -> bool:
    """Was the run deleted? Who took one over has a claim, or has ended and left the run's files;
    folders of parts say nothing, since parts are written into them afterwards."""
    if (run / LOCK).exists():
        return False
    try:  # iterdir finds no folder where storage fails
        return all(entry["type"] == "directory" for entry in run.fs.ls(run.path, detail=True))
    except FileNotFoundError:
        return True


def owner_of(run: UPath) -> Claim | None:
    """The living claim on a run folder, if there is one."""
    now = time.time()
    return next((claim for _, claim in _read_claims(run) if claim.is_alive(now)), None)


def _acquire(run: UPath, patience: float) -> tuple[UPath, Claim]:
    folder = run / LOCK
    if is_local(folder) and (folder.is_symlink() or (folder.exists() and not folder.is_dir())):
        raise UserError(
            f"{folder} is not a folder, and the lock of a run is kept there: move it away, or give "
            "another --out"
        )
    until = time.monotonic() + patience
    for tries in count(1):
        claim = _new_claim()
        path = folder / f"{claim.token}.json"
        try:
            other = _try_claim(run, path, claim)
        except BaseException:  # while this process lives, its claim would shut out everybody
            with suppress(OSError), as_os_errors():
                _withdraw(path)
            raise
        if other is None:
            return path, claim.model_copy(update={"holding": True})
        _withdraw(path)
        if (other.holding or tries >= TRIES) and time.monotonic() >= until:
            raise UserError(
                f"{run} is being written by {other.describe()}: wait for it, stop it, or give "
                "another --out"
            )
        time.sleep(random.uniform(0.05, 0.5))
    raise AssertionError  # it counts for ever


def _try_claim(run: UPath, path: UPath, claim: Claim) -> Claim | None:
    """Write a claim, and that it holds; another writer's living one where there is one."""
    _write_claim(path, claim)
    other = _find_other_claim(run, path)
    if other is None:
        _write_claim(path, claim.model_copy(update={"holding": True}))
    return other


def _find_other_claim(run: UPath, ours: UPath) -> Claim | None:
    """Another writer's living claim; claims of dead writers are deleted."""
    now = _written_at(ours)
    for path, claim in _read_claims(run):
        if path.name == ours.name:
            continue
        if claim.is_alive(now):
            return claim
        if claim.token == path.stem:  # else it may be no claim
            path.unlink(missing_ok=True)
    return None


def _read_claims(run: UPath) -> Iterator[tuple[UPath, Claim]]:
    """Only of files that are named as claims: others in the folder are not ours."""
    folder = run / LOCK
    if folder.is_dir():
        for path in folder.glob("*.json"):
            if CLAIM.fullmatch(path.name):
                with suppress(FileNotFoundError):  # withdrawn in the meantime
                    yield path, _read_claim(path)


def _read_claim(path: UPath) -> Claim:
    """What the file says; of one that says nothing, an unknown writer that its time speaks for."""
    written = _written_at(path)
    try:
        claim = Claim.model_validate_json(path.read_bytes())
        return claim.model_copy(update={"beat": written})
    except ValidationError:  # damaged, or by another version
        return Claim(
            token="",
            host="an unknown host",
            machine="",
            pid=0,
            born=0,
            since=written,
            beat=written,
            holding=True,
        )


def _written_at(path: UPath) -> float:
    """By the storage's clock."""
    return float(path.fs.modified(path.path).timestamp())


def _write_claim(path: UPath, claim: Claim) -> None:
    text = claim.model_dump_json()
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # another writer withdrew and removed the folder
            write_text(path, text)
            return
    write_text(path, text)


def _withdraw(path: UPath) -> None:
    path.unlink(missing_ok=True)
    if is_local(path):
        with suppress(OSError):  # not empty
            path.parent.rmdir()


def _new_claim() -> Claim:
    now = time.time()
    born = psutil.Process().create_time()
    return Claim(
        token=uuid4().hex,
        host=socket.gethostname(),
        machine=_machine_id(),
        pid=os.getpid(),
        born=born,
        since=now,
        beat=now,
    )


def _as_date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _machine_id() -> str:
    """Process numbers are comparable only within one boot and one container."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        return f"{boot.read_text().strip()} {os.readlink(namespace)}"  # noqa: PTH115
    return socket.gethostname()
