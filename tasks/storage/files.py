"""Bytes, folders and stamps at local and remote addresses, each read in the fastest way.

Only this file and models/addresses.py know that some addresses are local and others remote.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from upath import UPath

from models.addresses import as_path, is_local, is_web, write_atomically
from models.errors import AddressError, describe_error
from tasks.storage.remote_bytes import download, read_object

MISSING = "missing"  # how the stamp of a missing file begins
LARGEST_FILE = 2 << 30  # bytes of a picture, a mask or a small table


def join(root: str | os.PathLike[str], address: str) -> str:
    """An address relative to a root; an absolute one stays as it is."""
    if not is_local(address):
        return address
    if is_local(root):
        return str(Path(root) / address)
    return address if address.startswith("/") else f"{str(root).rstrip('/')}/{address}"


def read_bytes(address: str) -> bytes:
    """All bytes at an address; any error of a remote storage client becomes an OSError.

    Addresses on web servers must have been checked: tasks/catalog/allowed_addresses.py.
    """
    if is_local(address):
        status = os.stat(address)  # noqa: PTH116  # half the time of pathlib's
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could block for ever
            raise OSError(errno.EINVAL, "it is not a file", address)
        if status.st_size > LARGEST_FILE:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE >> 30} GiB", address)
        return Path(address).read_bytes()
    target = None if is_web(address) else as_path(address)
    if target is not None and is_local(target):  # file://
        return read_bytes(str(target))
    try:
        return download(address) if target is None else read_object(target)
    except OSError:
        raise
    except Exception as error:  # each client library has its own exceptions
        raise OSError(describe_error(error)) from error


def walk(root: UPath, suffixes: frozenset[str]) -> Iterator[str]:
    """Visible files with these suffixes under a folder: relative paths, in order.

    A folder that may not be read is an error: its files would be missing without a word.
    """
    for name in _local_names(root) if is_local(root) else _remote_names(root):
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122
            yield name


def read_stamps(addresses: Sequence[str]) -> list[str]:
    """Size and time of each file, which detect a change without reading it; or `missing`."""
    folders: dict[str, list[str]] = defaultdict(list)
    for address in addresses:
        if not is_local(address):
            folders[address.rpartition("/")[0]].append(address)
    remote = {
        name: stamp
        for folder, in_folder in folders.items()
        for name, stamp in _read_remote_stamps(folder, in_folder).items()
    }
    return [
        _read_local_stamp(address) if is_local(address) else remote.get(address, "missing")
        for address in addresses
    ]


def detects_change(stamp: str) -> bool:
    """Would a changed file have another stamp? Not on storage without sizes or times."""
    return not any(mark in f"{stamp} " for mark in ("unknown ", "missing ", ": ", "None:"))


def write_text(target: UPath, text: str) -> None:
    """A small file that other processes wait for: flushed to disk before it is renamed."""
    with write_atomically(target) as file:
        file.write(text.encode())
        if is_local(target):
            file.flush()
            os.fsync(file.fileno())


def _local_names(root: UPath) -> Iterator[str]:
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        visible = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in visible if not _leads_to_parent(Path(folder) / name))
        for name in sorted(files):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise AddressError(
        f"folder {error.filename} cannot be read ({error.strerror}), and what is in it would be "
        "missing: allow reading it, or move it out of the data"
    ) from error


def _leads_to_parent(folder: Path) -> bool:
    """Is it a link to one of its own parents, whose files would be listed again and again?"""
    return folder.is_symlink() and any(
        parent.resolve().is_relative_to(folder.resolve()) for parent in folder.parents
    )


def _remote_names(root: UPath) -> Iterator[str]:
    base = root.path.rstrip("/") + "/"
    for name in sorted(root.fs.find(root.path)):
        yield name.removeprefix(base)


def _read_local_stamp(address: str) -> str:
    try:
        status = os.stat(address)  # noqa: PTH116  # half the time of pathlib's
    except (OSError, ValueError):  # a zero byte in the address
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def _read_remote_stamps(folder: str, addresses: Sequence[str]) -> dict[str, str]:
    """One listing for all files of a folder: a request for each file would take hours."""
    try:
        entries = as_path(folder).fs.ls(as_path(folder).path, detail=True)
    except Exception:  # cannot be listed, or does not exist: reading the files will say why
        return dict.fromkeys(addresses, "unknown")
    stamps = {entry["name"].rpartition("/")[2]: _stamp_from_entry(entry) for entry in entries}
    return {address: stamps.get(address.rpartition("/")[2], "missing") for address in addresses}


def _stamp_from_entry(entry: dict[str, Any]) -> str:
    marks = ("ETag", "etag", "LastModified", "last_modified", "updated", "mtime", "created")
    return f"{entry['size']}:{next((entry[mark] for mark in marks if entry.get(mark)), '')}"
