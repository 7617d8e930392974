"""The one thing every refusal has in common.

Mistake: the user can mend it. Says what was found, what is allowed and what to do, in one line.
  Each file derives its own (`WeightsMistake`, `CatalogMistake`, ...) beside what raises it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Mistake(ValueError):
    """A user's mistake: the command prints this line and exits with 2, without a traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def told(error: BaseException) -> str:
    """Somebody else's exception in one line; its kind too, since many have no words."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def shown(names: Iterable[str], most: int = 8) -> str:
    """A list that stays one line: the first `most` names and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(repr(name) for name in listed[:most]) + rest


def one_line(name: str, most: int = 300) -> str:
    """A name as it is where it can be printed, else as Python writes it; cut where it is long."""
    short = name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"
    return short if short.isprintable() else repr(short)
