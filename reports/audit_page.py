"""A finished audit as one HTML file: no network, no script, all user text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports import group_tables
from reports.column_sections import (
    column_sections,
    describe_worst_group,
    name_columns,
    surest_story,
)
from reports.estimated_foregrounds import (
    describe_estimates,
    doubt_estimates,
    suggest_other_sources,
)
from reports.evidence_section import SHOWN, evidence_line, evidence_parts
from reports.example_sentences import explain_changes
from reports.figure_changes import change_table, rows_of
from reports.finding import class_groups_of, few_other_donors, finding_of, negligible_effect
from reports.heatmaps import fit, overlay
from reports.open_command import open_command
from reports.patterns_section import patterns_section
from reports.rendering import environment, picture_address, thumbnail_address
from tasks.schema import (
    FIGURES,
    ChangedPicture,
    Comparison,
    Example,
    PatternPictures,
    Rate,
    Summary,
)

FAILURES = 30  # kinds listed
DUPLICATES = 10  # pictures listed


@dataclass(frozen=True)
class Thumbnail:
    """A changed picture with its data URL."""

    change: ChangedPicture
    picture: str


@dataclass(frozen=True)
class Card:
    """An example with the data URLs of its images."""

    example: Example
    picture: str
    overlay: str
    width: int
    height: int
    outlined: bool
    why: Markup
    changes: tuple[Thumbnail, ...]


def render_page(
    summary: Summary, examples: Sequence[Example], pictures: Sequence[PatternPictures] = ()
) -> str:
    """The audit's page. Examples are shown in the order given, the strongest flags first; pictures
    are those of patterns."""
    judged = summary.flagged.of > 0
    table = group_tables.flagged_table if judged else group_tables.accuracy_table
    columns, more_columns = column_sections(summary)
    return (
        environment()
        .get_template("audit.html")
        .render(
            s=summary,
            cards=[_card(example) for example in examples],
            open_command=open_command(summary.run),
            by_class_group=table("Group", summary.by_class_group),
            class_groups_in_words=class_groups_of(summary),
            by_label=table("Label", summary.by_label),
            by_prediction=table("Predicted class", summary.by_prediction),
            columns=columns,
            more_columns=more_columns,
            same_as_label=summary.same_columns.get("label", ()),
            name_columns=name_columns,
            story=surest_story(summary),
            worst_group=summary.worst_group and describe_worst_group(summary.worst_group),
            has_foreground=_has_foreground(summary),
            estimates_in_words=describe_estimates(summary),
            other_sources=suggest_other_sources(summary),
            doubts_on_estimates=doubt_estimates(summary),
            judged=judged,
            figures=FIGURES,
            finding=finding_of(summary),
            negligible=negligible_effect(summary),
            few_other_donors=few_other_donors(summary),
            evidence_parts=evidence_parts(summary),
            patterns=patterns_section(summary, pictures),
            flips=evidence_line(summary, "flips"),
            other_figures={n: it for n, it in summary.figures.items() if n not in SHOWN},
            most_failures=FAILURES,
            most_duplicates=DUPLICATES,
            level=group_tables.LEVEL,
            stands_out=group_tables.stands_out,
            apart=_are_apart,
            **({} if summary.moved is None else _change_tables(summary.moved)),
        )
    )


def _change_tables(moved: Comparison) -> dict[str, Any]:
    classes = [move for move in moved.classes if move.moved][: group_tables.MOST]
    return {
        "moved_figures": change_table(("", rows_of(moved.figures))),
        "moved_classes": change_table(("", rows_of(classes))),
    }


def _has_foreground(summary: Summary) -> bool:
    """Whether there is any foreground, annotated or estimated."""
    return summary.foreground.source != "none" or summary.foreground.estimates is not None


def _card(example: Example) -> Card:
    picture_HW3 = fit(example.picture_HW3)
    height, width = picture_HW3.shape[:2]
    overlay_HW3 = overlay(example.picture_HW3, example.map_HW, example.mask_HW)
    return Card(
        example,
        picture_address(picture_HW3),
        picture_address(overlay_HW3),
        width,
        height,
        outlined=example.mask_HW is not None,
        why=explain_changes(example),
        changes=tuple(map(_thumbnail, example.changes)),
    )


def _thumbnail(change: ChangedPicture) -> Thumbnail:
    return Thumbnail(change, thumbnail_address(change.picture_HW3))


def _are_apart(one: Rate, other: Rate) -> bool:
    """Whether the two intervals do not overlap."""
    ends = (one.low, one.high, other.low, other.high)
    if any(end is None for end in ends):
        return False
    one_low, one_high, other_low, other_high = (end or 0.0 for end in ends)
    return one_low > other_high or other_low > one_high
