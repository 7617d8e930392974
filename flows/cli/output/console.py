"""Where tables are printed: within the width of a terminal, and whole into a pipe or a file."""

from __future__ import annotations

import sys

from rich.console import Console

WIDEST = 100_000  # columns; tables take no more than they need


def make_console() -> Console:
    """A console on stdout that marks nothing up by itself."""
    width = None if sys.stdout.isatty() else WIDEST
    return Console(highlight=False, emoji=False, width=width)
