"""Groups of classes in words: the worst of them, and the one that rests on the background."""

from __future__ import annotations

from markupsafe import Markup

from reports.example_sentences import isolate_name
from reports.group_tables import rank_groups, stands_out
from tasks.schema import GroupSummary, Summary
from tasks.schema.units import percent


def describe_class_groups(summary: Summary, *, with_flags: bool) -> Markup:
    """`Of 27 groups of classes, shore birds has the lowest accuracy (61.0%), and boats is flagged
    most surely more than the null (43.1%, null 5.0%).` The latter only with flags. Empty without
    groups, or where none is judged."""
    lowest, flagged = _lowest(summary), _most_flagged(summary) if with_flags else None
    if not lowest and flagged is None:
        return Markup()
    found = [lowest] if lowest else []
    if flagged is not None:
        worst = summary.worst_group
        is_lowest = bool(lowest) and worst is not None and worst.name == flagged.name
        found.append(_flagged_words(flagged, Markup() if is_lowest else isolate_name(flagged.name)))
    words = Markup("Of {}, {}.")
    count = len(summary.by_class_group)
    groups = f"{count:,} groups of classes" if count > 1 else "1 group of classes"
    return words.format(groups, Markup(", and ").join(found))


def _lowest(summary: Summary) -> Markup:
    worst = summary.worst_group
    if worst is None or not worst.of_classes:
        return Markup()
    words = Markup("{} has the lowest accuracy ({})")
    return words.format(isolate_name(worst.name), percent(worst.accuracy.value))


def _most_flagged(summary: Summary) -> GroupSummary | None:
    first = next(iter(rank_groups(summary.by_class_group)), None)
    return first if first is not None and stands_out(first) else None


def _flagged_words(group: GroupSummary, name: Markup) -> Markup:
    words = Markup("{} is flagged most surely more than the null ({}, null {})").format(
        name, percent(group.flagged.value), percent(group.null.value)
    )
    return words.lstrip()
