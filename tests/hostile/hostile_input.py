"""A hostile or broken input, what its command did, and what of that must not be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Content = str | bytes | Callable[[Path], object]  # of a file, or what makes it

ACCEPTED = 0  # done, or stopped before anything is computed: nothing was wrong
REFUSED = frozenset({2})
NOTHING = frozenset({4})
EITHER = frozenset({ACCEPTED, 2})
LONGEST_LINE = 1000
SECONDS = 60.0  # within which a command must have ended; most take a tenth of a second

PYTHON = re.compile(  # words that only Python says
    r"Traceback|\b[A-Z]\w*(Error|Exception)\b|NoneType|Errno|codec can't|<class |object at 0x|"
    r"out of range$|invalid literal|unhashable|positional argument|has no attribute|"
    r"Value error|not supported between|not subscriptable|not iterable|\.py\", line"
)


@dataclass(frozen=True)
class HostileInput:
    """A command in a folder that holds `data` (a small benchmark), `model` (a bundle for it) and
    these files."""

    group: str
    name: str
    words: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    codes: frozenset[int] = REFUSED
    says: str = ""  # stands in the last line
    never: tuple[str, ...] = ()  # stands nowhere in the output
    quotes_code: bool = False  # what a user's own code raised may be quoted
    has_run: bool = False  # the folder also holds `run`, a finished run

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int | None  # None where an exception came through
    stdout: str
    stderr: str
    seconds: float = 0.0
    touched: tuple[str, ...] = ()  # files, servers and processes that nobody named

    @property
    def last_line(self) -> str:
        return (self.stderr.strip("\n").split("\n") or [""])[-1]


def find_problems(tried: HostileInput, outcome: Outcome) -> list[str]:
    """Everything in the outcome that must not be; empty if all is well."""
    return [
        *_problems_of_the_end(tried, outcome),
        *_problems_of_the_output(tried, outcome.stdout + outcome.stderr),
        *(f"touched {name}" for name in outcome.touched),
    ]


def _problems_of_the_end(tried: HostileInput, outcome: Outcome) -> Iterator[str]:
    if outcome.code not in tried.codes:
        yield f"exit code {outcome.code}, not {' or '.join(map(str, sorted(tried.codes)))}"
    if outcome.seconds > SECONDS:
        yield f"took {outcome.seconds:.0f} s"
    if outcome.code == ACCEPTED:
        return
    line = outcome.last_line
    if not line.startswith("sightline: ") and not _is_usage(outcome.stderr):
        yield f"the last line is not ours: {line!r}"
    if len(line) > LONGEST_LINE:
        yield f"the last line has {len(line)} characters"
    if tried.says not in line:
        yield f"{tried.says!r} is not said"
    if outcome.stdout:
        yield f"stdout is not empty: {outcome.stdout[:80]!r}"


def _problems_of_the_output(tried: HostileInput, output: str) -> Iterator[str]:
    if (found := PYTHON.search(output)) and not tried.quotes_code:
        yield f"Python speaks: {found[0]!r}"
    if "Traceback" in output:
        yield "a traceback"
    if control := next(filter(_is_control, output), None):
        yield f"sends the control character {control!r}"
    for text in tried.never:
        if text in output:
            yield f"{text!r} is printed"


def _is_usage(stderr: str) -> bool:
    """Click's form of a refused option: usage, an empty line, the error; or the error alone."""
    return stderr.startswith("Error: ") or (
        stderr.startswith("Usage: ") and "\n\nError: " in stderr
    )


def _is_control(character: str) -> bool:
    """Does it move the cursor, end a line or turn the reading order?"""
    kind = unicodedata.category(character)
    return character != "\n" and (
        kind in ("Cc", "Cs", "Zl", "Zp")
        or character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    )
