"""Local paths and fsspec addresses behind pathlib's interface.

A local file is written under a temporary name and renamed; a remote one is a single put.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast
from uuid import uuid4

from pydantic import AfterValidator

from models.errors import AddressError, describe_error, printable

if TYPE_CHECKING:  # imported with the first address: every command would pay for it
    from upath import UPath

REMOTE = "://"
CHAIN = "::"  # fsspec would open the second address through the first, as archives or templates
STORAGE = ("s3", "gs", "abfs", "memory")  # memory: this process's, for tests
WEB = ("http", "https")
TEMPORARY = ".tmp"
LARGEST_COPY = 32 << 30  # bytes of a remote file of weights
LONGEST_COPY = 3600.0  # seconds that copying it may take
CHUNK = 1 << 20
AT_ONCE = 32 << 20  # bytes that are put by one request
# s3fs asks five times, 15 seconds each; by default botocore would ask five times in each of them.
ATTEMPTS: dict[str, Any] = {"config_kwargs": {"retries": {"total_max_attempts": 1}}}
# A password after a user name; digits and a slash are a port, and :: chains fsspec addresses.
PASSWORD = r"[^/?#\s@:]*:(?!\d*[/?#]|[/:])[^@\s]+"
USER = re.compile(rf"://(?:(?<!abfs://)[^/?#\s]*|{PASSWORD})@")  # abfs://CONTAINER@ACCOUNT
CLIENTS = ("aiohttp", "botocore", "azure", "gcsfs")  # packages whose errors are not OSErrors
QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*")
SECRET = re.compile(
    rf"://{PASSWORD}@"
    r"|https?://[^/?#\s@]+@"  # a token in place of the user
    r"|https?://[^\s?'\"]*\?"  # any query: signatures have many names
    r"|://[^\s'\"]*[?&;][\w.-]*"
    r"(?:token|sig|signature|secret|password|passwd|pwd|credential|key|keyid|auth)=",
    re.IGNORECASE,
)


def is_local(address: str | os.PathLike[str]) -> bool:
    return REMOTE not in str(address)


def is_web(address: str) -> bool:
    return address.partition(REMOTE)[0] in WEB


def place_of(address: str) -> str:
    """The bucket or the server of a remote address: everything before the path."""
    protocol, _, rest = address.partition(REMOTE)
    return f"{protocol}{REMOTE}{rest.partition('/')[0]}"


def has_secret(text: str) -> bool:
    """Does an address in the text contain a password, a token or a signature?"""
    return SECRET.search(text) is not None


def remove_secrets(text: str) -> str:
    """An address, or a message about one, without user, password and query: safe to log."""
    return QUERY.sub(r"\1", USER.sub("://", text))


def describe_safely(error: Exception) -> tuple[str, Exception | None]:
    """A library's exception in one line; and itself, unless its traceback contains a secret."""
    whole = "".join(traceback.format_exception(error))
    is_safe = not USER.search(whole) and not has_secret(whole)
    return remove_secrets(describe_error(error)), error if is_safe else None


def refuse_address(address: str) -> str:
    """The address; a ValueError says why it is not one that may be opened."""
    text = without_file_protocol(address)
    protocol, _, path = text.partition(REMOTE)
    is_one = CHAIN not in text and REMOTE not in path
    if is_local(text) or (protocol in STORAGE and is_one):
        return address
    if protocol in WEB:
        raise ValueError(
            "http:// and https:// are read only for the images and masks in a table, from servers "
            "that --allow-addresses names: download the file"
        )
    found = f"{printable(protocol, 40)}://"
    if not is_one:
        found = f"a chain ({CHAIN})" if CHAIN in text else "an address in another"
    raise ValueError(
        f"an address is a path or begins with s3://, gs:// or abfs://, not {found}: "
        "copy the files there"
    )


Address = Annotated[str, AfterValidator(refuse_address)]  # of a setting; names may be no address


def without_file_protocol(address: str) -> str:
    return address.removeprefix("file://").removeprefix("local://")


def as_path(address: str | os.PathLike[str]) -> UPath:
    """An absolute local path, or a remote one whose listings are never cached.

    Every address goes through here before it is opened.
    """
    from upath import UPath

    text = without_file_protocol(str(address))
    if is_local(text):
        return UPath(Path(text).absolute())
    try:
        refuse_address(text)
    except ValueError as error:
        raise AddressError(f"{printable(remove_secrets(text))}: {error}") from None
    try:
        options = ATTEMPTS if text.startswith("s3://") else {}
        if options:
            _try_again_on_s3()
        remote = UPath(text, use_listings_cache=False, **options)
        _ = remote.fs  # imports what the protocol needs
    except ImportError as error:
        raise AddressError(
            f"{text} needs a package that is not installed ({error}): "
            "pip install 'sightline[s3]' for s3://, or fsspec's own for other protocols"
        ) from error
    except ValueError as error:
        raise AddressError(f"{text} is not an address ({error})") from error
    return remote


@lru_cache(maxsize=1)
def _try_again_on_s3() -> None:
    """By itself s3fs tries again when S3 is silent or says SlowDown, and not when it fails."""
    from s3fs.core import set_custom_error_handler

    set_custom_error_handler(_may_pass)


def _may_pass(error: Exception) -> bool:
    """A server that fails, or that nobody can connect to: one that is being restarted."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(error, exceptions.ConnectionError)


def is_file(path: UPath) -> bool:
    """Is there a file? Raises an OSError where that cannot be said: fsspec's own `is_file` says no
    of storage that fails or does not answer."""
    if is_local(path):
        return bool(path.is_file())
    try:
        with as_os_errors():
            return bool(path.fs.info(path.path)["type"] == "file")
    except FileNotFoundError:
        return False


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
        yield _find_file(Path(source))
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / source.name
        with as_address_errors(address):
            exists = is_file(source)
            if exists:
                with source.open("rb") as remote, copy.open("wb") as local:
                    _copy(remote, local, str(address))
        yield copy if exists else None


def _copy(remote: IO[bytes], local: IO[bytes], address: str) -> None:
    size, end = 0, time.monotonic() + LONGEST_COPY
    while chunk := remote.read(CHUNK):
        size += local.write(chunk)
        if size > LARGEST_COPY:
            raise AddressError(f"{address} is larger than {LARGEST_COPY >> 30} GiB")
        if time.monotonic() > end:
            raise AddressError(
                f"{address} takes longer than {LONGEST_COPY / 60:.0f} minutes: copy it to a disk"
            )


def _find_file(path: Path) -> Path | None:
    """The file, or None when there is none; whoever read a pipe or a device could wait for ever."""
    if path.is_file() or path.is_dir() or not path.exists():
        return path if path.is_file() else None
    raise AddressError(f"{path} is a pipe or a device, not a file: save its content to a file")


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
    """One request for what is small, as most parts are; what is large goes in pieces."""
    with tempfile.SpooledTemporaryFile(max_size=AT_ONCE) as file:
        yield cast(IO[bytes], file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= AT_ONCE:
            target.fs.pipe_file(target.path, file.read())
            return
        remote = target.fs.open(target.path, "wb", autocommit=False)
        try:
            shutil.copyfileobj(file, remote, CHUNK)
            remote.close()
            remote.commit()
        except BaseException:
            remote.discard()
            raise
