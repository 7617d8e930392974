"""The runs under a folder as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Column

from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from models.addresses import as_path
from tasks.retention.rule import DatedRun, Decision, describe_age
from tasks.runs.inventory import Entry


def print_runs(entries: Sequence[Entry], folder: str) -> None:
    """One line for each run: its path under the folder, state, progress, size and model."""
    run, model = Column("run", overflow="fold"), Column("model", overflow="fold")
    table = PlainTable(run, "state", "images", "size", model, box=None)
    for entry in entries:
        images = f"{entry.done:,} of {entry.images:,}" if entry.images is not None else "-"
        table.add_row(
            _name(entry, folder), entry.state, images, format_size(entry.size), entry.model
        )
    print_table(table)
    for entry in entries:
        if entry.damage is not None:
            print_line(f"damaged: {entry.damage}")


def print_leaving(runs: Sequence[DatedRun], folder: str) -> None:
    """What goes, with the total; a line where nothing does."""
    if not runs:
        print_line("no run goes")
        return
    now = datetime.now(UTC)
    table = PlainTable(Column("goes", overflow="fold"), "state", "age", "size", box=None)
    for run in runs:
        age = describe_age(now - run.written)
        table.add_row(_name(run.entry, folder), run.entry.state, age, format_size(run.entry.size))
    table.add_row("total", "", "", format_size(sum(run.entry.size for run in runs)))
    print_table(table)


def print_kept(decisions: Sequence[Decision], folder: str) -> None:
    """What stays, and why."""
    table = PlainTable(
        Column("stays", overflow="fold"), Column("because", overflow="fold"), box=None
    )
    for decision in decisions:
        if decision.reason is not None:
            table.add_row(_name(decision.run.entry, folder), decision.reason)
    if table.rows:
        print_table(table)


def _name(entry: Entry, folder: str) -> str:
    """Its path under the folder."""
    return entry.path.removeprefix(str(as_path(folder)).rstrip("/") + "/")


def format_size(size: int) -> str:
    """Bytes in a readable unit: 12.3 MB."""
    amount, units = float(size), iter(("B", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
