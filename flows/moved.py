"""What moved between two runs, as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.schema import Comparison, Move

WORDS = {
    "accuracy": "accuracy",
    "flagged": "rests on background",
    "undecided": "undecided",
    "excess": "excess over the null",
    "mean_lift": "mean lift",
}
MOST = 10  # classes shown


def print_comparison(moved: Comparison) -> None:
    """Print what else differs, how many images are the same, and each figure then and now."""
    console = Console(highlight=False, emoji=False)
    for line in _lines(moved):
        console.print(Text(line), soft_wrap=True)
    table = Table("figure", "before", "now", "since then", title_justify="left")
    for move in (*moved.figures, *[move for move in moved.classes if move.moved][:MOST]):
        table.add_row(
            Text(_name(move)), _value(move, move.before), _value(move, move.now), move.sentence
        )
    if moved.figures:
        console.print(table)
    if moved.classes:
        console.print(Text(_classes(moved)), soft_wrap=True)


def _lines(moved: Comparison) -> Iterator[str]:
    yield f"since:   {moved.before} ({moved.created})"
    for difference in moved.differs:
        yield f"differs: {difference.field} was {difference.before}, is {difference.now}"
    counts = f"{moved.same:,} the same, {moved.changed:,} changed, {moved.added:,} added"
    line = f"images:  {counts}, {moved.removed:,} removed"
    other = moved.predictions_changed
    yield line + (f"; {other.count:,} of the same predicted otherwise" if other.of else "")


def _classes(moved: Comparison) -> str:
    count = sum(move.moved for move in moved.classes)
    return (
        f"{count} of {len(moved.classes)} predicted classes with enough images moved "
        f"(intervals of {moved.confidence:.2%} each: all of them hold together with 95%)"
    )


def _name(move: Move) -> str:
    return WORDS[move.figure] + (f", {move.name}" if move.name is not None else "")


def _value(move: Move, value: float) -> str:
    return f"{value:.3f}" if move.figure == "mean_lift" else f"{value:.1%}"
