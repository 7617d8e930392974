"""Every error that ends a command, on one page; and helpers to phrase their messages.

UserError            the user can fix it: exit code 2
  NothingToAudit     there is no image: exit code 4
  AddressError, LayerError, MappingFileError, NotComparable, RunFolderError, SegmenterError
                     caught where more is known, or where there is something else to try
    DamagedFile      a RunFolderError of one file, whose content is not what was written
  UserCodeError      what a user's own code raised
    ForwardError     in a call of their network: becomes a row's failure where one image is to blame
  RowError           becomes the failure of one row, with what to do
  PictureError, ForegroundError, RegionError
                     become a row's failure where the row is known
Unfinished           work could not be finished; what was computed is kept: exit code 3
  UnfinishedRun      some shards could not be computed
  PrefectUnavailable, MlflowUnavailable
                     a server that does not answer
ReleaseRefused       the gate says no: exit code 1
Stopped              Ctrl-C or SIGTERM: exit code 3

A message is one line: what we got, what is allowed, what to do. Any other exception is our own
failure: a traceback and exit code 3.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

# What is allowed, by the type of pydantic's refusal; the names in braces are of its context.
ALLOWED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number is needed"),
    "int_parsing_size": "a smaller whole number is needed",
    **dict.fromkeys(("float_type", "float_parsing"), "a number is needed"),
    "finite_number": "a finite number is needed",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is needed"),
    "string_type": "a text is needed",
    "string_pattern_mismatch": "it must match {pattern}",
    "literal_error": "allowed are {expected}",
    "greater_than": "it must be above {gt:.12g}",
    "greater_than_equal": "it must be at least {ge:.12g}",
    "less_than": "it must be below {lt:.12g}",
    "less_than_equal": "it must be at most {le:.12g}",
    **dict.fromkeys(("tuple_type", "list_type"), "a list is needed"),
    "too_short": "at least {min_length} must be given",
    "too_long": "at most {max_length} may be given",
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type"), "a section with keys is needed"
    ),
    "missing": "it is missing",
    "extra_forbidden": "there is no such key",
    "json_invalid": "it is not JSON",
}


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


class UserCodeError(UserError):
    """What a user's own code raised."""


class ForwardError(UserCodeError):
    """What a user's network raised for some pictures."""


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


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; a plain KeyboardInterrupt may be raised by a user's code, too."""


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
    """A library's exception, or what a user's code raised, in one line; with its type, since many
    have no message."""
    if isinstance(error, UserCodeError) and error.__cause__ is not None:
        error = error.__cause__
    elif isinstance(error, TimeoutError) and str(error):
        return " ".join(str(error).split())  # which says it without its type
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def lacks_memory(error: BaseException) -> bool:
    """On a GPU (OutOfMemoryError), in Python, or in torch's CPU allocator, which only has words."""
    messages = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(m in str(error).lower() for m in messages)


def describe_os_error(error: OSError) -> str:
    """What the system said, and of which file: `a.csv: Permission denied`."""
    reason = error.strerror or " ".join(str(error).split()) or "no answer"
    return reason if error.filename is None else f"{error.filename}: {reason}"


def describe_refusal(problem: Mapping[str, Any]) -> str:
    """Why pydantic refuses a value, in our words: what is allowed."""
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":  # raised by a validator of ours
        return str(context["error"])
    words = ALLOWED.get(problem["type"], "it does not have the right form")
    return words.format(**context)


def find_position(error: BaseException) -> str:
    """Where a parser of JSON, TOML or YAML stopped: ` at line 3, column 5`; empty if unknown."""
    found = re.search(r"line (\d+),? column (\d+)", str(error))
    return "" if found is None else f" at line {found[1]}, column {found[2]}"


def list_names(names: Iterable[str], most: int = 8) -> str:
    """A list that fits one line: the first `most` names and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(repr(name) for name in listed[:most]) + rest


def printable(name: str, most: int = 300) -> str:
    """A name as it is if it can be printed, else as Python writes it; shortened if long."""
    short = name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"
    return short if short.isprintable() else repr(short)
