"""What becomes of the runs of a folder, as tables for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Column

from flows.cli.output.lines import print_line
from flows.cli.output.runs import format_size, name_under
from flows.cli.output.tables import PlainTable, print_table
from tasks.retention.rule import DatedRun, Decision, describe_age


def print_leaving(runs: Sequence[DatedRun], folder: str) -> None:
    """What goes, with the total; a line where nothing does."""
    if not runs:
        print_line("no run goes")
        return
    now = datetime.now(UTC)
    table = PlainTable(Column("goes", overflow="fold"), "state", "age", "size", box=None)
    for run in runs:
        age = describe_age(now - run.written)
        table.add_row(
            name_under(run.entry, folder), run.entry.state, age, format_size(run.entry.size)
        )
    table.add_row("total", "", "", format_size(sum(run.entry.size for run in runs)))
    print_table(table)


def print_kept(decisions: Sequence[Decision], folder: str) -> None:
    """What stays, and why."""
    table = PlainTable(
        Column("stays", overflow="fold"), Column("because", overflow="fold"), box=None
    )
    for decision in decisions:
        if decision.reason is not None:
            table.add_row(name_under(decision.run.entry, folder), decision.reason)
    if table.rows:
        print_table(table)
