"""What moved between two runs, as a table for a terminal, a pipe or a log; a pair also as files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.verdicts import title, value
from tasks.schema import Comparison, Move, PairedFigure, PairedSummary

if TYPE_CHECKING:
    from upath import UPath

    from tasks.runs.reader import Run

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


def print_paired(paired: PairedSummary) -> None:
    """Print the verdict on the later of two models, and each figure on the images of both."""
    console = Console(highlight=False, emoji=False)
    console.print(Text(f"verdict: {paired.sentence}"), soft_wrap=True)
    counts = ", ".join(f"{n:,} {turn.replace('_', ' ')}" for turn, n in paired.turns.items())
    console.print(Text(f"images:  {paired.images:,} in both; {counts}"), soft_wrap=True)
    table = Table("figure", "before", "after", "on the same images", title_justify="left")
    for it in (*paired.figures, *[it for it in paired.classes if it.verdict != "unchanged"][:MOST]):
        ends = (value(it.figure, number) for number in (it.before, it.after))
        table.add_row(Text(_titled(it)), *ends, it.sentence)
    if paired.figures:
        console.print(table)
    for missing in paired.missing:
        console.print(Text(f"missing: {missing.figure}: {missing.reason}"), soft_wrap=True)


def compare_audits(before: str, after: str, folder: str) -> PairedSummary:
    """Two models on the same images, from their finished runs, with the files of it."""
    from models.addresses import as_path
    from tasks.compare.two_models import pair_runs
    from tasks.runs.reader import open_run

    first, last = open_run(before), open_run(after)
    paired = pair_runs(first, last)
    write_paired(first, last, paired, as_path(folder))
    return paired


def write_paired(before: Run, after: Run, paired: PairedSummary, folder: UPath) -> None:
    """compare.html, compare.md and compare.json of two models on the same images."""
    from reports.models_page import as_markdown, render_versus
    from tasks.compare.changed_images import examples_of_pair
    from tasks.storage.files import write_text

    page = render_versus(paired, examples_of_pair(before, after, paired))
    write_text(folder / "compare.html", page)
    write_text(folder / "compare.md", as_markdown(paired))
    write_text(folder / "compare.json", paired.model_dump_json(indent=2) + "\n")


def _titled(figure: PairedFigure) -> str:
    words = title(figure.figure)
    return words if figure.name is None else f"{words}, {figure.name}"


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
