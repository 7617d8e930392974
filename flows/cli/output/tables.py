"""Tables for a terminal, a pipe or a log, whose cells are texts and never markup."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.visible_text import visible

WIDEST = 100_000  # columns; tables take no more than they need


class PlainTable(Table):
    """A table that shows texts of users as they are, in one line each."""

    def __init__(self, *headers: Any, title: str | None = None, **details: Any) -> None:
        shown = None if title is None else Text(visible(title))
        super().__init__(*headers, title=shown, title_justify="left", **details)

    def add_row(self, *cells: Any, **details: Any) -> None:
        super().add_row(*(Text(visible(str(cell))) for cell in cells), **details)


def print_table(table: PlainTable) -> None:
    """Within the width of a terminal, and whole into a pipe or a file."""
    width = None if sys.stdout.isatty() else WIDEST
    Console(highlight=False, emoji=False, width=width).print(table)
