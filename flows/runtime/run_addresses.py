"""The addresses of a run, tried: data is read, a file written, a scheduler greeted."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import uuid4

from upath import UPath

from flows.runtime.findings import TOO_LITTLE, Finding, describe_free
from models.addresses import as_os_errors, as_path, is_local, is_web, remove_secrets
from models.answering_servers import open_url
from models.errors import UserError, describe_error, describe_os_error
from tasks.storage.lock import STALE_AFTER

FAST_OR_SLOW = 5.0  # seconds by which a clock may differ without a word
ANSWER = 10.0  # seconds that a server has to tell the time


@dataclass(frozen=True)
class RunAddresses:
    """What a run would be given; None: not to be checked."""

    data: str | None = None
    out: str | None = None
    dask: str | None = None


def check_run_addresses(addresses: RunAddresses) -> Iterator[Finding]:
    if addresses.data is not None:
        yield check_data(addresses.data)
    if addresses.out is not None:
        yield from check_out(addresses.out)
    if addresses.dask is not None:
        yield check_dask(addresses.dask)


def check_data(address: str) -> Finding:
    """Can the folder be listed, or the first byte of the file be read?"""
    shown = remove_secrets(address)
    if address.startswith("torchvision:"):
        return Finding("ok", f"data: {shown} is torchvision's")
    try:
        with as_os_errors():
            _read_some(as_path(address))
    except (OSError, UserError) as error:
        return Finding("missing", f"data: {shown} cannot be read ({_words(error)}): {_REMEDY_READ}")
    return Finding("ok", f"data: {shown} is readable")


def _read_some(path: UPath) -> None:
    if path.is_dir():
        next(iter(path.iterdir()), None)
        return
    with path.open("rb") as file:
        file.read(1)


def check_out(address: str) -> Iterator[Finding]:
    """A real file is written, read and removed where the run would be, or in the folder above that
    exists; its time is compared with ours."""
    shown = remove_secrets(address)
    try:
        with as_os_errors():
            probe = _existing(as_path(address)) / f".sightline-doctor-{uuid4().hex}"
            ahead = _try_file(probe)
    except (OSError, UserError) as error:
        yield Finding(
            "missing", f"out: {shown} cannot be written ({_words(error)}): {_REMEDY_WRITE}"
        )
        return
    yield Finding("ok", f"out: {shown} can be written, read and deleted")
    yield check_clock(ahead, f"the storage of {shown}")
    if is_local(address):
        yield _check_space(Path(probe).parent)


def _existing(path: UPath) -> UPath:
    """The folder itself, or the first above it that exists; an object store has no folders."""
    if not is_local(path):
        return path
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _try_file(probe: UPath) -> float:
    """Returns by how many seconds the storage's clock is ahead of ours."""
    content = os.urandom(16)
    start = time.time()
    probe.write_bytes(content)
    try:
        if probe.read_bytes() != content:
            raise OSError(f"{probe} has another content than was written")
        ahead = probe.stat().st_mtime - (start + time.time()) / 2
    finally:
        probe.unlink()
    return float(ahead)


def _check_space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    state, text = describe_free(free, folder)
    if free < TOO_LITTLE:
        text += ": make room, or give --out on another disk"
    return Finding(state, text)


def check_dask(address: str) -> Finding:
    """Does a scheduler answer, and has it workers of our version? Keys are those of Dask's own
    settings."""
    from distributed import Client, Security

    from tasks.execution.scheduler_address import TIMEOUT, check_scheduler
    from tasks.execution.worker_versions import check_workers

    shown = remove_secrets(address)
    try:
        security = Security()
        check_scheduler(address, security)
        with Client(address, security=security, timeout=TIMEOUT, set_as_default=False) as client:
            check_workers(client)
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
    except UserError as error:
        return Finding("missing", f"Dask: {error}")
    if not workers:
        start = f"dask worker {shown} --nthreads 1"
        return Finding("missing", f"Dask: {shown} has no worker: start one ({start})")
    return Finding("ok", f"Dask: {shown} answers, with {workers} worker{'s' * (workers != 1)}")


def check_server_clock(name: str, url: str) -> Finding | None:
    """By the Date of its answer; None where it gives none, or does not answer."""
    if not is_web(url):
        return None
    start = time.time()
    try:
        with open_url(url, timeout=ANSWER) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refusal:
        date = refusal.headers.get("Date")
    except (OSError, ValueError):
        return None
    if date is None:
        return None
    now = (start + time.time()) / 2
    ahead = parsedate_to_datetime(date).timestamp() + 0.5 - now  # it has whole seconds
    return check_clock(ahead, f"the server of {name}")


def check_clock(ahead: float, whose: str) -> Finding:
    """From so many seconds on, `runs` and `remove` take a run that is written elsewhere for a
    stopped one."""
    if abs(ahead) < FAST_OR_SLOW:
        return Finding("ok", f"clock: {whose} has our time")
    side = "ahead of ours" if ahead > 0 else "behind ours"
    text = f"clock: {whose} is {abs(ahead):.0f} s {side}: set both by NTP"
    return Finding("missing" if abs(ahead) >= STALE_AFTER else "odd", text)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return remove_secrets(describe_os_error(error))[:200]
    return remove_secrets(describe_error(error))[:200]


_REMEDY_READ = "correct the address, or get the right to read it"
_REMEDY_WRITE = "give another --out, or get the right to write there"
