"""Which values of the user's table a candidate's members have more often than other images.

It describes the members and confirms nothing: any column that is told from the picture is enriched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import NOWHERE
from tasks.discover.descriptions import LEAST_RATIO
from tasks.intervals.many_comparisons import adjust_p_values
from tasks.schema import EnrichedValue, Rate, wilson
from tasks.schema.patterns import LEVEL

MOST = 3  # values of one pattern


def enriched_values(candidate: Candidate, columns: Sequence[Grouping]) -> tuple[EnrichedValue, ...]:
    """The most frequent among members first; not the value that the candidate was found by."""
    counted = [
        count
        for grouping in columns
        if grouping is not candidate.grouping
        for count in _count_values(candidate, grouping)
    ]
    q_values = adjust_p_values([_chance(members, others) for *_, members, others in counted])
    found = [
        EnrichedValue(column=column, value=value, members=members, others=others, q=q)
        for (column, value, members, others), q in zip(counted, q_values, strict=True)
        if q <= LEVEL and _share(members) >= LEAST_RATIO * _share(others)
    ]
    return tuple(sorted(found, key=lambda it: -_share(it.members))[:MOST])


def _count_values(
    candidate: Candidate, grouping: Grouping
) -> Iterator[tuple[str, str, Rate, Rate]]:
    """Column, value, and how many members and others have it, of those that have any."""
    known_N = grouping.leaf_N != NOWHERE
    member_N = candidate.member_N & known_N
    other_N = known_N & ~member_N
    of_members, of_others = map(grouping.count_values, (member_N, other_N))
    for leaf, value in enumerate(grouping.values):
        members = wilson(int(of_members[leaf]), int(member_N.sum()))
        yield grouping.space, value, members, wilson(int(of_others[leaf]), int(other_N.sum()))


def _chance(members: Rate, others: Rate) -> float:
    """That as many of these members have the value, if it were dealt at random."""
    from scipy.stats import hypergeom

    images, having = members.of + others.of, members.count + others.count
    if not having:  # of no image at all, SciPy knows no tail
        return 1.0
    return float(hypergeom.sf(members.count - 1, images, having, members.of))


def _share(rate: Rate) -> float:
    return rate.value or 0.0
