"""Every error that ends a command, on one page; and helpers to phrase their messages.

UserError            the user can fix it: exit code 2
  NothingToAudit     there is no image: exit code 4
  AddressError, LayerError, MappingFileError, NotComparable, RunFolderError, SegmenterError
                     caught where more is known, or where there is something else to try
    DamagedFile      a RunFolderError of one file, whose content is not what was written
  RowError           becomes the failure of one row, with what to do
  PictureError, ForegroundError, RegionError
                     become a row's failure where the row is known
Unfinished           work could not be finished; what was computed is kept: exit code 3
  UnfinishedRun      some shards could not be computed
  PrefectUnavailable, MlflowUnavailable
                     a server that does not answer
ReleaseRefused       the gate says no: exit code 1

A message is one line: what we got, what is allowed, what to do. Any other exception is our own
failure: a traceback and exit code 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal


class UserError(ValueError):
    """A mistake of the user's: the command prints this line, without a traceback."""

    exit_code = 2


class NothingToAudit(UserError):
    """A dataset without a single image."""

    exit_code = 4


class AddressError(UserError):
    """An address that cannot be reached."""


class LayerError(UserError):
    """A layer that cannot give spatial maps, or no layer that can."""


class MappingFileError(UserError):
    """Text that is not a mapping; the caller adds what it was read for."""


class NotComparable(UserError):
    """Two runs whose figures do not answer the same question."""


class RunFolderError(UserError):
    """A run folder that is not what the command needs."""


class DamagedFile(RunFolderError):
    """A file of a run whose content is not what was written."""


class SegmenterError(UserError):
    """A network that cannot mark the foreground."""


class RegionError(UserError):
    """Regions that cannot be drawn on their picture."""


class PictureError(UserError):
    """Bytes that are not a picture, or not one that can be audited."""

    def __init__(self, message: str, remedy: str = "export it again or drop the row") -> None:
        super().__init__(message)
        self.remedy = remedy


class ForegroundError(UserError):
    """A mask or a region that cannot be used for its picture."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class RowError(UserError):
    """Why a row cannot be read: becomes its failure."""

    def __init__(
        self, message: str, remedy: str, kind: Literal["permanent", "transient"] = "permanent"
    ) -> None:
        super().__init__(message)
        self.remedy, self.kind = remedy, kind


class Unfinished(RuntimeError):
    """Work that could not be finished, without any mistake of the user's."""

    exit_code = 3


class UnfinishedRun(Unfinished):
    """Some shards could not be computed; the others are kept, and the same command continues."""


class PrefectUnavailable(Unfinished):
    """Prefect's server did not answer for longer than its client waits."""


class MlflowUnavailable(Unfinished):
    """MLflow does not answer, or fails: another try may succeed."""


class ReleaseRefused(RuntimeError):
    """The gate says no; raised after everything has been written and printed."""

    exit_code = 1

    def __init__(self, sentence: str, folder: str) -> None:
        super().__init__(sentence, folder)
        self.sentence, self.folder = sentence, folder


def suggest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def describe_error(error: BaseException) -> str:
    """A library's exception in one line; with its type, since many have no message."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def list_names(names: Iterable[str], most: int = 8) -> str:
    """A list that fits one line: the first `most` names and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(repr(name) for name in listed[:most]) + rest


def printable(name: str, most: int = 300) -> str:
    """A name as it is if it can be printed, else as Python writes it; shortened if long."""
    short = name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"
    return short if short.isprintable() else repr(short)
