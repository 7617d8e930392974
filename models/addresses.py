"""Where things lie: local paths and every fsspec address, in the words of pathlib.

A local file is written beside its place and renamed, a remote one is one put.
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
# A password after a user's name; digits and a slash are a port, and :: chains fsspec's addresses.
PASSWORD = r"[^/?#\s@:]*:(?!\d*[/?#]|[/:])[^@\s]+"
USER = re.compile(rf"://(?:[^/?#\s]*|{PASSWORD})@")
CLIENTS = ("aiohttp", "botocore", "azure", "gcsfs")  # whose errors are no OSError
QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*")


def is_local(address: str | os.PathLike[str]) -> bool:
    return REMOTE not in str(address)


def has_password(text: str) -> bool:
    """Does an address in the text say `user:password@`?"""
    return re.search(f"://{PASSWORD}@", text) is not None


def without_secrets(text: str) -> str:
    """An address, or words about one, that may be written and told: no user, password or query."""
    return QUERY.sub(r"\1", USER.sub("://", text))


def describe_safely(error: Exception) -> tuple[str, Exception | None]:
    """Somebody else's exception in one line; and itself, unless its traceback tells a secret."""
    whole = "".join(traceback.format_exception(error))
    return without_secrets(describe_error(error)), None if USER.search(whole) else error


def as_path(address: str | os.PathLike[str]) -> UPath:
    """A local path, made absolute, or a remote one whose listings are never remembered."""
    text = str(address).removeprefix("file://").removeprefix("local://")
    if is_local(text):
        return UPath(Path(text).absolute())
    if text.startswith(REMOTE):
        raise AddressError(f"{text} is no address: it needs a protocol, such as s3://")
    try:
        remote = UPath(text, use_listings_cache=False)
        _ = remote.fs  # imports what the protocol needs
    except ImportError as error:
        raise AddressError(
            f"{text} needs a package that is not here ({error}): pip install 'sightline[s3]' "
            "for s3://, or fsspec's own for other protocols"
        ) from error
    except ValueError as error:
        raise AddressError(f"{text} is no address that fsspec knows ({error})") from error
    return remote


@contextmanager
def storage_errors_in_one_line(address: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever a remote place raises, as one line."""
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
def storage_errors() -> Iterator[None]:
    """What the client of a remote place raises, as the OSError that it is."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in CLIENTS:
            raise OSError(describe_error(error)) from error
        raise


@contextmanager
def local_copy(address: str | os.PathLike[str]) -> Iterator[Path | None]:
    """The file itself, or what a remote address holds as long as it is read; None for no file."""
    with storage_errors_in_one_line(address):
        source = as_path(address)
    if is_local(source):
        yield Path(source) if source.is_file() else None
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / source.name
        with storage_errors_in_one_line(address):
            found = source.is_file()
            if found:
                with source.open("rb") as theirs, copy.open("wb") as ours:
                    shutil.copyfileobj(theirs, ours)
        yield copy if found else None


def read_text(address: str | os.PathLike[str]) -> str | None:
    """A text file's content; None when there is no file."""
    with local_copy(address) as path:
        content = None if path is None else path.read_bytes()
    try:
        return None if content is None else content.decode("utf-8-sig")  # Windows marks it so
    except UnicodeDecodeError as error:
        raise AddressError(f"{address} is no UTF-8 text ({error}): save it as UTF-8") from error


@contextmanager
def write_whole(target: UPath) -> Iterator[IO[bytes]]:
    """A file that takes the target's place when all went well, and else never was."""
    if not is_local(target):
        with _putting(target) as file:
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
def _putting(target: UPath) -> Iterator[IO[bytes]]:
    file = target.fs.open(target.path, "wb", autocommit=False)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        file.discard()
        raise
