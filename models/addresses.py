"""Local paths and fsspec addresses behind pathlib's interface.

A local file is written under a temporary name and renamed; a remote one is a single put.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from upath import UPath

from models.errors import AddressError, describe_error

REMOTE = "://"
TEMPORARY = ".tmp"
# A password after a user name; digits and a slash are a port, and :: chains fsspec addresses.
PASSWORD = r"[^/?#\s@:]*:(?!\d*[/?#]|[/:])[^@\s]+"
USER = re.compile(rf"://(?:[^/?#\s]*|{PASSWORD})@")
CLIENTS = ("aiohttp", "botocore", "azure", "gcsfs")  # packages whose errors are not OSErrors
QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*")


def is_local(address: str | os.PathLike[str]) -> bool:
    return REMOTE not in str(address)


def has_password(text: str) -> bool:
    """Does an address in the text contain `user:password@`?"""
    return re.search(f"://{PASSWORD}@", text) is not None


def remove_secrets(text: str) -> str:
    """An address, or a message about one, without user, password and query: safe to log."""
    return QUERY.sub(r"\1", USER.sub("://", text))


def describe_safely(error: Exception) -> tuple[str, Exception | None]:
    """A library's exception in one line; and itself, unless its traceback contains a secret."""
    whole = "".join(traceback.format_exception(error))
    return remove_secrets(describe_error(error)), None if USER.search(whole) else error


def as_path(address: str | os.PathLike[str]) -> UPath:
    """An absolute local path, or a remote one whose listings are never cached."""
    text = str(address).removeprefix("file://").removeprefix("local://")
    if is_local(text):
        return UPath(Path(text).absolute())
    if text.startswith(REMOTE):
        raise AddressError(f"{text} is not an address: it needs a protocol, such as s3://")
    try:
        remote = UPath(text, use_listings_cache=False)
        _ = remote.fs  # imports what the protocol needs
    except ImportError as error:
        raise AddressError(
            f"{text} needs a package that is not installed ({error}): "
            "pip install 'sightline[s3]' for s3://, or fsspec's own for other protocols"
        ) from error
    except ValueError as error:
        raise AddressError(f"{text} is not an address that fsspec knows ({error})") from error
    return remote


@contextmanager
def as_address_errors(address: str | os.PathLike[str]) -> Iterator[None]:
    """Raise whatever a remote store raises as a one-line AddressError."""
    try:
        yield
    except AddressError:
        raise
    except Exception as error:  # each client library has exceptions of its own
        raise AddressError(
            f"{address} cannot be read ({describe_error(error)}): check the address and the "
            "credentials"
        ) from error


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise the exceptions of remote stores' clients as the OSErrors that they are."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in CLIENTS:
            raise OSError(describe_error(error)) from error
        raise


@contextmanager
def local_copy(address: str | os.PathLike[str]) -> Iterator[Path | None]:
    """The file itself, or a temporary copy of a remote one; None when there is no file."""
    with as_address_errors(address):
        source = as_path(address)
    if is_local(source):
        yield Path(source) if source.is_file() else None
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / source.name
        with as_address_errors(address):
            exists = source.is_file()
            if exists:
                with source.open("rb") as remote, copy.open("wb") as local:
                    shutil.copyfileobj(remote, local)
        yield copy if exists else None


def read_text(address: str | os.PathLike[str]) -> str | None:
    """A text file's content; None when there is no file."""
    with local_copy(address) as path:
        content = None if path is None else path.read_bytes()
    try:
        return None if content is None else content.decode("utf-8-sig")  # Windows writes a BOM
    except UnicodeDecodeError as error:
        raise AddressError(f"{address} is not UTF-8 text: save it as UTF-8") from error


@contextmanager
def write_atomically(target: UPath) -> Iterator[IO[bytes]]:
    """A file that becomes the target when the block succeeds, and leaves nothing otherwise."""
    if not is_local(target):
        with _put(target) as file:
            yield file
        return
    temporary = target.with_name(f".{target.name}.{uuid4().hex}{TEMPORARY}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _put(target: UPath) -> Iterator[IO[bytes]]:
    file = target.fs.open(target.path, "wb", autocommit=False)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        file.discard()
        raise
