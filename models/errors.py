"""Every way in which a command ends badly, on one page; and the words that such lines share.

UserError            the user can mend it: exit code 2
  NothingToAudit     there is no image: exit code 4
  AddressError, LayerError, MappingFileError, NotComparable, RunFolderError, SegmenterError
                     caught where more is known, or where something else is tried then
  RowError           becomes the failure of one row, with what to do
  PictureError, ForegroundError, RegionError
                     become a row's failure where the row is known
Unfinished           something could not be finished, what was computed is kept: exit code 3
  UnfinishedRun      some shards could not be computed
  PrefectUnavailable, MlflowUnavailable
                     a server that does not answer
ReleaseRefused       the gate's no: exit code 1

A message is one line: what was found, what is allowed, what to do. All else is our own failure: a
traceback and exit code 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal


class UserError(ValueError):
    """A user's mistake: the command prints this line, without a traceback."""

    exit_code = 2


class NothingToAudit(UserError):
    """A dataset without a single image."""

    exit_code = 4


class AddressError(UserError):
    """An address that cannot be reached."""


class LayerError(UserError):
    """No layer, or not the layer, that spatial maps can be taken from."""


class MappingFileError(UserError):
    """Text that maps nothing; whoever reads it says what it was wanted for."""


class NotComparable(UserError):
    """Two runs whose figures do not answer the same question."""


class RunFolderError(UserError):
    """A run folder that is not what the command needs."""


class SegmenterError(UserError):
    """A network that cannot mark the foreground, as it was given."""


class RegionError(UserError):
    """Regions that cannot be drawn on their picture."""


class PictureError(UserError):
    """Bytes that are no picture, or none that can be audited."""

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
    """What could not be finished, although nobody made a mistake."""

    exit_code = 3


class UnfinishedRun(Unfinished):
    """Some shards could not be computed; the others are kept, and the same command continues."""


class PrefectUnavailable(Unfinished):
    """Prefect's server did not answer for longer than its client waits."""


class MlflowUnavailable(Unfinished):
    """MLflow does not answer, or fails: another try may succeed."""


class ReleaseRefused(RuntimeError):
    """The gate's no, after everything has been written and printed."""

    exit_code = 1

    def __init__(self, sentence: str, folder: str) -> None:
        super().__init__(sentence, folder)
        self.sentence, self.folder = sentence, folder


def suggest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def describe_error(error: BaseException) -> str:
    """Somebody else's exception in one line; its kind too, since many have no words."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def list_names(names: Iterable[str], most: int = 8) -> str:
    """A list that stays one line: the first `most` names and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(repr(name) for name in listed[:most]) + rest


def printable(name: str, most: int = 300) -> str:
    """A name as it is where it can be printed, else as Python writes it; cut where it is long."""
    short = name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"
    return short if short.isprintable() else repr(short)
