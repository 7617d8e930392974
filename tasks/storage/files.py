"""What lies at many addresses: bytes, folders, stamps and tables, read as quickly as each allows.

With models/addresses.py the only files that know that there are local and remote ones.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from models.addresses import TEMPORARY, as_path, is_local, write_atomically
from models.errors import describe_error

LARGEST_FILE = 2 << 30  # bytes of a picture, a mask or a small table


def join(root: str | os.PathLike[str], address: str) -> str:
    """An address relative to a root; one that is absolute stays as it is."""
    if not is_local(address):
        return address
    if is_local(root):
        return str(Path(root) / address)
    return address if address.startswith("/") else f"{str(root).rstrip('/')}/{address}"


def read_bytes(address: str) -> bytes:
    """All bytes at an address; whatever a remote place answers instead is an OSError."""
    if is_local(address):
        status = os.stat(address)  # noqa: PTH116  # half the time of pathlib's
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise OSError(errno.EINVAL, "it is no file", address)
        if status.st_size > LARGEST_FILE:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE >> 30} GiB", address)
        return Path(address).read_bytes()
    target = as_path(address)
    if is_local(target):  # file://
        return read_bytes(str(target))
    try:
        content: bytes = target.read_bytes()
    except OSError:
        raise
    except Exception as error:  # each client library has exceptions of its own
        raise OSError(describe_error(error)) from error
    return content


def walk(root: UPath, suffixes: frozenset[str]) -> Iterator[str]:
    """Files under a folder, relative and in order, hidden ones left out, with these suffixes."""
    for name in _local_names(root) if is_local(root) else _remote_names(root):
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122
            yield name


def stamps(addresses: Sequence[str]) -> list[str]:
    """Size and time of each file: tells a changed one without reading it; `missing` for none."""
    folders: dict[str, list[str]] = defaultdict(list)
    for address in addresses:
        if not is_local(address):
            folders[address.rpartition("/")[0]].append(address)
    remote = {
        name: stamp
        for folder, wanted in folders.items()
        for name, stamp in _remote_stamps(folder, wanted).items()
    }
    return [
        _local_stamp(address) if is_local(address) else remote.get(address, "missing")
        for address in addresses
    ]


def tells(stamp: str) -> bool:
    """Would another file have another stamp? Places without sizes or times cannot say."""
    return not any(mark in f"{stamp} " for mark in ("unknown ", "missing ", ": ", "None:"))


def write_text(target: UPath, text: str) -> None:
    """A small file that others wait for: on the disk before it takes its place."""
    with write_atomically(target) as file:
        file.write(text.encode())
        if is_local(target):
            file.flush()
            os.fsync(file.fileno())


def sweep(folder: UPath) -> None:
    """Remove what killed writers left: temporary neighbours that took no file's place."""
    if is_local(folder):
        for path in folder.rglob(f".*{TEMPORARY}"):
            path.unlink(missing_ok=True)


def remove(folder: UPath) -> None:
    """Delete a folder with all that lies in it."""
    folder.fs.rm(folder.path, recursive=True)


def read_footer(target: UPath) -> pq.FileMetaData:
    return pq.read_metadata(_source(target))


def open_parquet(target: UPath, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    return pq.ParquetFile(_source(target), metadata=footer)


def read_table(
    target: UPath, columns: list[str] | None = None, filters: pa.compute.Expression | None = None
) -> pa.Table:
    return pq.read_table(_source(target), columns=columns, filters=filters)


def _source(target: UPath) -> Any:
    """What pyarrow reads: its own local files are quicker than Python's."""
    return str(target) if is_local(target) else target.open("rb")


def _local_names(root: UPath) -> Iterator[str]:
    for folder, folders, files in os.walk(root, followlinks=True):
        visible = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in visible if not _leads_back(Path(folder) / name))
        for name in sorted(files):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _leads_back(folder: Path) -> bool:
    """A link to a folder on the way to it, whose files would be there again and again."""
    return folder.is_symlink() and any(
        parent.resolve().is_relative_to(folder.resolve()) for parent in folder.parents
    )


def _remote_names(root: UPath) -> Iterator[str]:
    base = root.path.rstrip("/") + "/"
    for name in sorted(root.fs.find(root.path)):
        yield name.removeprefix(base)


def _local_stamp(address: str) -> str:
    try:
        status = os.stat(address)  # noqa: PTH116  # half the time of pathlib's, for every image
    except (OSError, ValueError):  # a zero byte in it
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def _remote_stamps(folder: str, addresses: Sequence[str]) -> dict[str, str]:
    """One listing for all files of a folder: a question for each would take hours."""
    try:
        listed = as_path(folder).fs.ls(as_path(folder).path, detail=True)
    except Exception:  # a place that cannot be listed, or is not there: the reading will tell
        return dict.fromkeys(addresses, "unknown")
    known = {entry["name"].rpartition("/")[2]: _stamp_of(entry) for entry in listed}
    return {address: known.get(address.rpartition("/")[2], "missing") for address in addresses}


def _stamp_of(entry: dict[str, Any]) -> str:
    marks = ("ETag", "etag", "LastModified", "last_modified", "updated", "mtime", "created")
    return f"{entry['size']}:{next((entry[mark] for mark in marks if entry.get(mark)), '')}"
