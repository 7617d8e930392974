"""The runs under a folder as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column

from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from models.addresses import as_path
from tasks.runs.inventory import Entry


def print_runs(entries: Sequence[Entry], folder: str) -> None:
    """One line for each run: its path under the folder, state, progress, size and model."""
    run, model = Column("run", overflow="fold"), Column("model", overflow="fold")
    table = PlainTable(run, "state", "images", "size", model, box=None)
    for entry in entries:
        images = f"{entry.done:,} of {entry.images:,}" if entry.images is not None else "-"
        table.add_row(
            name_under(entry, folder), entry.state, images, format_size(entry.size), entry.model
        )
    print_table(table)
    for entry in entries:
        if entry.damage is not None:
            print_line(f"damaged: {entry.damage}")


def name_under(entry: Entry, folder: str) -> str:
    """Its path under the folder."""
    return entry.path.removeprefix(str(as_path(folder)).rstrip("/") + "/")


def format_size(size: int) -> str:
    """Bytes in a readable unit: 12.3 MB."""
    amount, units = float(size), iter(("B", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
