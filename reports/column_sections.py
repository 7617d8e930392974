"""The columns of the user's table: what each says about the groups, and the sentence for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.example_sentences import isolate_name
from reports.formatting import count_of, rounded_percent
from reports.group_tables import COLUMNS, GroupTable, accuracy_table, flagged_table
from tasks.schema import ENOUGH, Contrast, CrossTable, Summary, WorstGroup


@dataclass(frozen=True)
class ColumnSection:
    """One column, with its groups and the table of classes by its values."""

    column: str
    same: Sequence[str]  # columns that say the same
    groups: GroupTable
    cross: CrossTable | None
    story: Markup  # empty where no rate surely differs from elsewhere

    @property
    def shows_accuracy(self) -> bool:
        """Whether any label has enough images with one value."""
        cells = (
            [] if self.cross is None else [cell for row in self.cross.rows for cell in row.cells]
        )
        return any(cell.right.of >= ENOUGH for cell in cells)

    @property
    def is_empty(self) -> bool:
        return self.groups.is_empty and (self.cross is None or not self.cross.rows)


def column_sections(summary: Summary) -> tuple[list[ColumnSection], int]:
    """The sections that a page shows, and how many more columns there are: the group column first,
    then those with a story or a group that stands out."""
    sections = [_section(summary, column) for column in summary.by_column]
    filled = [section for section in sections if not section.is_empty]
    group = None if summary.worst_group is None else summary.worst_group.column
    filled.sort(key=lambda it: (it.column != group, not it.story, it.groups.marked == 0))
    return filled[:COLUMNS], len(filled[COLUMNS:])


def _section(summary: Summary, column: str) -> ColumnSection:
    table = flagged_table if summary.flagged.of else accuracy_table
    cross = summary.cross_tables.get(column)
    return ColumnSection(
        column,
        summary.same_columns.get(column, ()),
        table(column, summary.by_column[column]),
        cross,
        Markup() if cross is None else tell_contrast(column, cross),
    )


def surest_story(summary: Summary) -> Markup:
    """The sentence of the column in which a rate most surely differs from elsewhere; else empty."""
    told = [
        (_sureness(cross.contrast), column, cross)
        for column, cross in summary.cross_tables.items()
        if cross.contrast is not None
    ]
    if not told:
        return Markup()
    _, column, cross = max(told, key=lambda it: it[0])
    return tell_contrast(column, cross)


def _sureness(contrast: Contrast) -> tuple[bool, float]:
    return contrast.figure == "said", max(contrast.low, -contrast.high)


def tell_contrast(column: str, cross: CrossTable) -> Markup:
    """`Where place is reef, it says knife in 76% of the images of other classes, everywhere else in
    9%.` Empty where nothing is sure."""
    contrast = cross.contrast
    if contrast is None:
        return Markup()
    here, elsewhere = (
        rounded_percent(rate.value or 0.0) for rate in (contrast.here, contrast.elsewhere)
    )
    said, others = "{}", "classes"
    if cross.of_groups:
        said, others = "a class of {}", "groups"
    words = "Where {} is {}, {} is predicted right in {}, everywhere else in {}."
    if contrast.figure == "said" and cross.labelled:
        words = (
            f"Where {{}} is {{}}, it says {said} in {{}} of the images of other {others}, "
            "everywhere else in {}."
        )
    elif contrast.figure == "said":
        words = (
            f"Where {{}} is {{}}, it says {said} in {{}}, everywhere else in {{}}; without labels "
            "it is not known how often rightly."
        )
    names = map(isolate_name, (column, contrast.value, contrast.name))
    return Markup(words).format(*names, here, elsewhere)


def describe_worst_group(worst: WorstGroup) -> Markup:
    """`reef, the lowest of 4 values of place`; of labels or groups of classes without a column."""
    name = isolate_name(worst.name)
    if worst.of_classes:
        return Markup("{}, the lowest of {:,} groups of classes").format(name, worst.groups)
    if worst.column is None:
        return Markup("{}, the lowest of {}").format(name, count_of(worst.groups, "label"))
    of = count_of(worst.groups, "value")
    return Markup("{}, the lowest of {} of {}").format(name, of, isolate_name(worst.column))


def name_columns(columns: Iterable[str]) -> Markup:
    """`place and place_id`."""
    *first, last = map(isolate_name, columns)
    return Markup(" and ").join([Markup(", ").join(first), last] if first else [last])
