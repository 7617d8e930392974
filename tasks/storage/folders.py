"""Folders that are to be written, refused in one line where none can be made."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from models.addresses import is_local
from models.errors import UserError, printable

REASONS = {
    errno.EEXIST: "it is a file or a device",
    errno.ENOTDIR: "a part of its path is a file",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "it is a link that leads to itself",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "you may not write there",
    errno.ENOENT: "nothing can be made there",
}


def check_folder(address: str, option: str) -> None:
    """Refuse a local address, given by this option, where no folder can be; it leaves nothing."""
    if not is_local(address):
        return
    missing = [path for path in (Path(address), *Path(address).parents) if not _exists(path)]
    try:
        make_folder(address, option)
    finally:
        for folder in missing:
            with suppress(OSError):  # another command writes there already
                folder.rmdir()


def make_folder(address: str | os.PathLike[str], option: str) -> Path:
    """Make a local folder, unless it is there; refuses one that cannot be made or written."""
    folder = Path(address)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise _refusal(folder, option, "it has a zero byte") from error
    except OSError as error:
        if error.errno not in REASONS:  # such as a full disk
            raise
        is_lost = error.errno == errno.EEXIST and folder.is_symlink()
        reason = "it is a link to nothing" if is_lost else REASONS[error.errno]
        raise _refusal(folder, option, reason) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(folder, option, REASONS[errno.EACCES])
    return folder


def _refusal(folder: Path, option: str, reason: str) -> UserError:
    return UserError(
        f"{option} {printable(str(folder))} cannot be written as a folder ({reason}): "
        f"give another {option}"
    )


def _exists(path: Path) -> bool:
    """Also of a link to nothing; a path that cannot be looked at counts, since it is not made."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True
