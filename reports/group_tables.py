"""Which groups of images a table shows, and in which order: those that clearly stand out first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.charts import rate_axis_end
from tasks.schema import GroupSummary

MOST = 30  # rows per table, so that a model with 1,000 classes stays readable
COLUMNS = 12  # of the user's table that get a table of their own
LEVEL = 0.05  # a group is marked where its q is at most this


@dataclass(frozen=True)
class GroupTable:
    """The groups of one column, on one axis."""

    title: str
    rows: tuple[GroupSummary, ...]
    left_out: int
    end: float  # of the axis

    @property
    def marked(self) -> int:
        return sum(map(stands_out, self.rows))


def flagged_table(title: str, groups: Sequence[GroupSummary]) -> GroupTable:
    """Groups with a decided image: first those that are clearly flagged more than the null."""
    rows = rank_groups(groups)[:MOST]
    drawn = [rate for row in rows for rate in (row.flagged, row.null)]
    return GroupTable(title, tuple(rows), len(groups) - len(rows), rate_axis_end(drawn))


def accuracy_table(title: str, groups: Sequence[GroupSummary]) -> GroupTable:
    """Groups with a labelled image: first those whose accuracy is surely low."""
    rows = rank_by_accuracy(groups)[:MOST]
    end = rate_axis_end([row.accuracy for row in rows])
    return GroupTable(title, tuple(rows), len(groups) - len(rows), end)


def rank_by_accuracy(groups: Sequence[GroupSummary]) -> list[GroupSummary]:
    """Groups with a labelled image, the surely lowest accuracy first."""
    labelled = [group for group in groups if group.accuracy.of]
    return sorted(labelled, key=lambda group: group.accuracy.high or 0.0)


def rank_groups(groups: Sequence[GroupSummary]) -> list[GroupSummary]:
    """Groups with a decided image, by their lower ends, so that one of one does not come first."""
    return sorted((group for group in groups if group.flagged.of), key=_certainty, reverse=True)


def stands_out(group: GroupSummary) -> bool:
    """Whether it is flagged more than the null, also corrected for the number of groups."""
    if group.excess is None or group.q is None:
        return False
    return group.q <= LEVEL and group.excess.low > 0


def _certainty(group: GroupSummary) -> tuple[bool, float, float]:
    least = -1.0 if group.excess is None else group.excess.low
    return stands_out(group), least, group.flagged.low or 0.0
