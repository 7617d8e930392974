"""Which groups of images a table shows, and in which order: those that clearly stand out first.

Of many groups those with too few images to be judged are counted, not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.charts import rate_axis_end
from tasks.schema import ENOUGH, GroupSummary, Rate

MOST = 30  # rows drawn per table, so that a model with 1,000 classes stays readable
PAGE = 100  # rows of each of the folded tables that follow
COLUMNS = 12  # of the user's table that get a table of their own
LEVEL = 0.05  # a group is marked where its q is at most this


@dataclass(frozen=True)
class GroupTable:
    """The groups of one column, on one axis."""

    title: str
    rows: tuple[GroupSummary, ...]
    further: tuple[GroupSummary, ...]  # in the same order, not drawn
    too_few: int  # groups that are left out, since they have fewer images than
    least: int  # those that are listed: one, or enough to be judged
    end: float  # of the axis

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show, not even a number of groups."""
        return not self.rows and not self.too_few

    @property
    def marked(self) -> int:
        return sum(map(stands_out, self.rows))

    @property
    def pages(self) -> list[tuple[int, tuple[GroupSummary, ...]]]:
        """The further rows in pages, each with the rank of its first row."""
        starts = range(0, len(self.further), PAGE)
        return [(len(self.rows) + at + 1, self.further[at : at + PAGE]) for at in starts]


def flagged_table(title: str, groups: Sequence[GroupSummary]) -> GroupTable:
    """Groups with a decided image: first those that are clearly flagged more than the null."""
    listed = list_judged(rank_groups(groups), len(groups), MOST, decided_images)
    return _table(title, groups, listed, lambda row: (row.flagged, row.null))


def accuracy_table(title: str, groups: Sequence[GroupSummary]) -> GroupTable:
    """Groups with a labelled image: first those whose accuracy is surely low."""
    listed = list_judged(rank_by_accuracy(groups), len(groups), MOST, labelled_images)
    return _table(title, groups, listed, lambda row: (row.accuracy,))


def _table(
    title: str,
    groups: Sequence[GroupSummary],
    listed: Sequence[GroupSummary],
    rates_of: Callable[[GroupSummary], tuple[Rate, ...]],
) -> GroupTable:
    rows = tuple(listed[:MOST])
    drawn = [rate for row in rows for rate in rates_of(row)]
    return GroupTable(
        title=title,
        rows=rows,
        further=tuple(listed[MOST:]),
        too_few=len(groups) - len(listed),
        least=1 if len(groups) <= MOST else ENOUGH,
        end=rate_axis_end(drawn),
    )


def list_judged(
    ranked: Sequence[GroupSummary],
    groups: int,
    most: int,
    images_of: Callable[[GroupSummary], int],
) -> list[GroupSummary]:
    """Of more groups than `most` those with enough images to be judged, else all."""
    if groups <= most:
        return list(ranked)
    return [group for group in ranked if images_of(group) >= ENOUGH]


def decided_images(group: GroupSummary) -> int:
    return group.flagged.of


def labelled_images(group: GroupSummary) -> int:
    return group.accuracy.of


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
