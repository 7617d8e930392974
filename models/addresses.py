"""Where models lie: local paths and every fsspec address, in the words of pathlib."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upath import UPath

from models.mistakes import Mistake, told

REMOTE = "://"
# A password after a user's name; digits and a slash are a port, and :: chains fsspec's addresses.
PASSWORD = r"[^/?#\s@:]*:(?!\d*[/?#]|[/:])[^@\s]+"
USER = re.compile(rf"://(?:[^/?#\s]*|{PASSWORD})@")
QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*")


class AddressMistake(Mistake):
    """An address that cannot be reached."""


def is_remote(address: object) -> bool:
    return REMOTE in str(address) and not str(address).startswith("file://")


def has_password(text: str) -> bool:
    """Does an address in the text say `user:password@`?"""
    return re.search(f"://{PASSWORD}@", text) is not None


def without_secrets(text: str) -> str:
    """An address, or words about one, that may be written and told: no user, password or query."""
    return QUERY.sub(r"\1", USER.sub("://", text))


def told_safely(error: Exception) -> tuple[str, Exception | None]:
    """Somebody else's exception in one line; and itself, unless its traceback tells a secret."""
    whole = "".join(traceback.format_exception(error))
    return without_secrets(told(error)), None if USER.search(whole) else error


def located(address: object) -> Path:
    """A local path, or a remote one that behaves like it."""
    if not is_remote(address):
        return Path(str(address).removeprefix("file://"))
    with _reaching(address):
        place = UPath(str(address), use_listings_cache=False)
        _ = place.fs  # imports what the protocol needs
    remote: Path = place
    return remote


@contextmanager
def local_copy(address: object) -> Iterator[Path | None]:
    """The file itself, or what a remote address holds as long as it is read; None for no file."""
    place = located(address)
    if not is_remote(address):
        yield place if place.is_file() else None
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / place.name
        with _reaching(address):
            found = place.is_file()
            if found:
                with place.open("rb") as theirs, copy.open("wb") as ours:
                    shutil.copyfileobj(theirs, ours)
        yield copy if found else None


def read_text(address: object) -> str | None:
    """A text file's content; None when there is no file."""
    with local_copy(address) as path:
        content = None if path is None else path.read_bytes()
    try:
        return None if content is None else content.decode("utf-8-sig")  # Windows marks it so
    except UnicodeDecodeError as error:
        raise AddressMistake(f"{address} is no UTF-8 text ({error}): save it as UTF-8") from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A local file to write, which takes the target's place when all went well."""
    if not is_remote(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        written = Path(folder) / target.name
        yield written
        located(target).fs.put_file(str(written), located(target).path)  # type: ignore[attr-defined]


@contextmanager
def _reaching(address: object) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise AddressMistake(
            f"{address} needs a package that is not here ({error}): pip install 'sightline[s3]' "
            "for s3://, or fsspec's own for other protocols"
        ) from error
    except Exception as error:  # each client library has exceptions of its own
        raise AddressMistake(
            f"{address} cannot be read ({told(error)}): check the address and the credentials"
        ) from error
