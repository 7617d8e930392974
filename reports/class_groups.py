"""Groups of classes in words: the worst of them, and the one that rests on the background."""

from __future__ import annotations

from reports.group_tables import rank_groups, stands_out
from reports.visible_text import visible
from tasks.schema import Summary
from tasks.schema.units import percent


def describe_class_groups(summary: Summary) -> str:
    """`Of 27 groups of classes, shore birds has the lowest accuracy (61.0%), and boats is flagged
    most surely more than the null (43.1%, null 5.0%).` Empty without groups, or where none is
    judged."""
    if summary.class_groups is None:
        return ""
    found = list(filter(None, (_lowest(summary), _most_flagged(summary))))
    count = len(summary.by_class_group)
    return f"Of {count:,} groups of classes, {', and '.join(found)}." if found else ""


def _lowest(summary: Summary) -> str:
    worst = summary.worst_group
    if worst is None or not worst.of_classes:
        return ""
    return f"{visible(worst.name)} has the lowest accuracy ({percent(worst.accuracy.value)})"


def _most_flagged(summary: Summary) -> str:
    first = next(iter(rank_groups(summary.by_class_group)), None)
    if first is None or not stands_out(first):
        return ""
    rates = f"{percent(first.flagged.value)}, null {percent(first.null.value)}"
    return f"{visible(first.name)} is flagged most surely more than the null ({rates})"
