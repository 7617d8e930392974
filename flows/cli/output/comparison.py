"""Changes between two runs, and two models on the same images, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.output.console import make_console
from reports.figure_changes import ChangeRow, rows_of
from tasks.schema import Comparison, PairedSummary

MOST = 10  # classes shown


def print_comparison(comparison: Comparison) -> None:
    """Print what else differs, how many images are the same, and each figure then and now."""
    console = make_console()
    for line in _lines(comparison):
        console.print(Text(line), soft_wrap=True)
    moved = [change for change in comparison.classes if change.moved]
    rows = rows_of((*comparison.figures, *moved[:MOST]))
    _print_table(console, ("now", "since then"), rows)
    _print_rest(console, len(moved), "moved; --json lists them")
    if comparison.classes:
        console.print(Text(_classes(comparison)), soft_wrap=True)


def print_models(paired: PairedSummary) -> None:
    """Print the verdict on the later of two models, and each figure on the images of both."""
    console = make_console()
    console.print(Text(f"verdict: {paired.sentence}"), soft_wrap=True)
    counts = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in paired.turns.items())
    console.print(Text(f"images:  {paired.images:,} in both; {counts}"), soft_wrap=True)
    changed = [change for change in paired.classes if change.verdict != "unchanged"]
    rows = rows_of((*paired.figures, *changed[:MOST]))
    _print_table(console, ("after", "on the same images"), rows)
    _print_rest(console, len(changed), "changed; compare.json lists them (--out writes it)")
    for missing in paired.missing:
        console.print(Text(f"missing: {missing.figure}: {missing.reason}"), soft_wrap=True)


def _print_table(console: Console, titles: tuple[str, str], rows: Sequence[ChangeRow]) -> None:
    table = Table("figure", "before", *titles, title_justify="left")
    for row in rows:
        table.add_row(Text(row.title), row.before, row.after, row.sentence)
    if rows:
        console.print(table)


def _print_rest(console: Console, classes: int, words: str) -> None:
    if classes > MOST:
        line = f"and {classes - MOST:,} more figures of classes {words}"
        console.print(Text(line), soft_wrap=True)


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"since:   {comparison.before} ({comparison.created})"
    for difference in comparison.differs:
        yield f"differs: {difference.field} was {difference.before}, is {difference.now}"
    counts = (
        f"{comparison.same:,} the same, {comparison.changed:,} changed, "
        f"{comparison.added:,} added, {comparison.removed:,} removed"
    )
    flipped = comparison.predictions_changed
    predictions = f"; {flipped.count:,} of the same predicted differently" if flipped.of else ""
    yield f"images:  {counts}{predictions}"


def _classes(comparison: Comparison) -> str:
    count = sum(change.moved for change in comparison.classes)
    return (
        f"{count} of {len(comparison.classes)} predicted classes with enough images moved "
        f"(intervals of {comparison.confidence:.2%} each: all of them hold together with 95%)"
    )
