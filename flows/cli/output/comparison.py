"""Changes between two runs, and two models on the same images, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.figure_changes import ChangeRow, rows_of
from reports.pattern_changes import describe_patterns, pattern_rows
from tasks.schema import Comparison, PairedSummary, PatternChange

MOST = 10  # classes shown


def print_comparison(comparison: Comparison) -> None:
    """Print what else differs, how many images are the same, and each figure then and now."""
    for line in _lines(comparison):
        print_line(line)
    moved = [change for change in comparison.classes if change.moved]
    _print_table(("now", "since then"), rows_of((*comparison.figures, *moved[:MOST])))
    _print_rest(len(moved), "moved; --json lists them")
    if comparison.classes:
        print_line(_classes(comparison))
    _print_patterns(("now", "since then"), comparison.patterns)


def print_models(paired: PairedSummary) -> None:
    """Print the verdict on the later of two models, and each figure on the images of both."""
    print_line(f"verdict: {paired.sentence}")
    counts = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in paired.turns.items())
    print_line(f"images:  {paired.images:,} in both; {counts}")
    groups, classes = (
        [change for change in changes if change.verdict != "unchanged"]
        for changes in (paired.class_groups, paired.classes)
    )
    titles, rest = (
        ("after", "on the same images"),
        "changed; compare.json lists them (--out writes it)",
    )
    _print_table(titles, rows_of((*paired.figures, *classes[:MOST])))
    _print_rest(len(classes), rest)
    _print_table(titles, rows_of(groups[:MOST]), "by group of classes")
    _print_rest(len(groups), rest, "groups of classes")
    _print_patterns(titles, paired.patterns)
    for missing in paired.missing:
        print_line(f"missing: {missing.figure}: {missing.reason}")


def _print_table(titles: tuple[str, str], rows: Sequence[ChangeRow], first: str = "figure") -> None:
    table = PlainTable(first, "before", *titles)
    for row in rows:
        table.add_row(row.title, row.before, row.after, row.sentence)
    if rows:
        print_table(table)


def _print_patterns(titles: tuple[str, str], changes: Sequence[PatternChange] | None) -> None:
    """Nothing where one of the runs looked for none."""
    if changes is None:
        return
    print_line(f"patterns: {describe_patterns(changes)}")
    table = PlainTable("pattern", "pulls to", "before", *titles)
    for row in pattern_rows(changes):
        name = f"{row.id} {row.name}"
        table.add_row(name, row.pulls_to, row.before, row.after, row.sentence)
    if changes:
        print_table(table)


def _print_rest(count: int, words: str, parts: str = "classes") -> None:
    if count > MOST:
        print_line(f"and {count - MOST:,} more figures of {parts} {words}")


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
