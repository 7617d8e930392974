"""Classes, and groups of them, as tables for a terminal: what is sure first, the rest counted."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flows.cli.output.cells import excess_cell, rate_cell
from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.formatting import chance
from reports.group_tables import (
    decided_images,
    labelled_images,
    list_judged,
    rank_by_accuracy,
    rank_groups,
    stands_out,
)
from tasks.schema import GroupSummary, Summary

MOST = 10  # rows shown


@dataclass(frozen=True)
class _Kind:
    """What the rows of a table are."""

    header: str
    one: str
    many: str


LABELS = _Kind("label", "class", "classes")
PREDICTED = _Kind("predicted class", "class", "classes")
GROUPS = _Kind("group of classes", "group", "groups")


def print_classes(summary: Summary, *, every_class: bool) -> None:
    """Groups of classes, then the classes that stand out most; labels by accuracy where no class
    is judged."""
    if summary.by_class_group:
        _print_rows(summary, GROUPS, summary.by_class_group, every_class)
    judged = bool(summary.flagged.of)
    kind = PREDICTED if judged else LABELS
    rows = summary.by_prediction if judged else summary.by_label
    _print_rows(summary, kind, rows, every_class)


def _print_rows(summary: Summary, kind: _Kind, groups: Sequence[GroupSummary], every: bool) -> None:
    judged = bool(summary.flagged.of)
    images_of = decided_images if judged else labelled_images
    ranked = rank_groups(groups) if judged else rank_by_accuracy(groups)
    if every:
        listed = [*ranked, *(group for group in groups if not images_of(group))]
    else:
        listed = list_judged(ranked, len(groups), MOST, images_of)
    shown = listed if every else listed[:MOST]
    if shown:
        print_table(_table(kind, shown, judged))
    if not every and len(groups) > len(shown) and len(groups) > MOST:
        for line in _rest(summary, kind, (len(shown), len(listed), len(groups))):
            print_line(line)


def _table(kind: _Kind, rows: Sequence[GroupSummary], judged: bool) -> PlainTable:
    if judged:
        names = ("rests on background", "null", "excess, points", "q")
        right = "right when predicted" if kind is PREDICTED else "accuracy"
        table = PlainTable(kind.header, *names, right)
    else:
        table = PlainTable(kind.header, "accuracy")
    cells: Callable[[GroupSummary], Iterator[str]] = _judged_cells if judged else _labelled_cells
    for row in rows:
        table.add_row(*cells(row))
    return table


def _rest(summary: Summary, kind: _Kind, counts: tuple[int, int, int]) -> Iterator[str]:
    """What is not shown, and how to see it."""
    shown, listed, groups = counts
    judged = bool(summary.flagged.of)
    command = f"all: sightline show {shlex.quote(summary.run)} --all-classes"
    if listed > shown:
        most = (
            "flagged most surely more than the null" if judged else "of the surely lowest accuracy"
        )
        yield f"{kind.many}: the {shown} of {groups:,} {most}; {command}"
    if few := groups - listed:
        images = f"fewer than {summary.smallest_group} {'decided' if judged else 'labelled'}"
        have = f"{kind.one} has" if few == 1 else f"{kind.many} have"
        advice = "" if summary.class_groups else "; --class-groups FILE judges groups of them"
        yield f"{few:,} {have} too few images to judge ({images}); {command}{advice}"


def _judged_cells(row: GroupSummary) -> Iterator[str]:
    """With a mark on a class that stands out significantly."""
    yield f"{'* ' if stands_out(row) else ''}{row.name}"
    yield rate_cell(row.flagged)
    yield "-" if row.null.value is None else f"{row.null.value:.1%}"
    yield excess_cell(row.excess) if row.excess else "too few"
    yield "-" if row.q is None else chance(row.q)
    yield rate_cell(row.accuracy, "no labels")


def _labelled_cells(row: GroupSummary) -> Iterator[str]:
    yield row.name
    yield rate_cell(row.accuracy)
