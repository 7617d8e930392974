"""The runs under a folder as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tasks.runs.inventory import Entry


def print_runs(entries: Sequence[Entry], folder: str) -> None:
    """One line for each run: its path under the folder, state, progress, size and model."""
    run, model = Column("run", overflow="fold"), Column("model", overflow="fold")
    table = Table(run, "state", "images", "size", model, box=None)
    for entry in entries:
        images = f"{entry.done:,} of {entry.images:,}" if entry.images is not None else "-"
        name = entry.path.removeprefix(folder.rstrip("/") + "/")
        table.add_row(*map(Text, (name, entry.state, images, format_size(entry.size), entry.model)))
    console = Console(highlight=False, emoji=False)
    console.print(table)
    for entry in entries:
        if entry.damage is not None:
            console.print(Text(f"damaged: {entry.damage}"), soft_wrap=True)


def format_size(size: int) -> str:
    """Bytes in a readable unit: 12.3 MB."""
    amount, units = float(size), iter(("B", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
