"""Counts by class, by group of classes and by column of the table; their excess over the null."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tasks.intervals.many_comparisons import adjust_p_values
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate, mcnemar_p
from tasks.intervals.worst_group import interval_of_worst
from tasks.schema import (
    ENOUGH,
    ClassGroups,
    Excess,
    GroupSummary,
    Interval,
    Rate,
    WorstGroup,
    wilson,
)

CLASS_GROUPS = "\0groups of classes"  # among the columns; no column of a table is called so


@dataclass
class Tally:
    """Counts over one group of images, added up as they are read."""

    labelled: int = 0
    correct: int = 0
    decided: int = 0
    flagged: int = 0
    both: int = 0  # of images with a null score: flagged by the score and by the null
    only_null: int = 0
    only_flagged: int = 0
    neither: int = 0

    def add(self, correct: bool | None, flag: str, by_null: bool | None) -> None:
        self.labelled += correct is not None
        self.correct += correct is True
        if flag == "undecided":
            return
        flagged = flag == "rests_on_background"
        self.decided += 1
        self.flagged += flagged
        if by_null is not None:
            self.both += flagged and by_null
            self.only_null += by_null and not flagged
            self.only_flagged += flagged and not by_null
            self.neither += not flagged and not by_null

    @property
    def accuracy(self) -> Rate:
        return wilson(self.correct, self.labelled)

    @property
    def rate(self) -> Rate:
        """The share of rests_on_background among the decided images."""
        return wilson(self.flagged, self.decided)

    @property
    def crossing(self) -> Crossing:
        return Crossing(self.both, self.only_null, self.only_flagged, self.neither)

    @property
    def null(self) -> Rate:
        return wilson(self.both + self.only_null, self.crossing.shared)

    @property
    def excess(self) -> Excess | None:
        """Flagged minus the null, over the same images; None where they are too few."""
        crossing = self.crossing
        if crossing.shared < ENOUGH:
            return None
        flagged = wilson(self.both + self.only_flagged, crossing.shared)
        change = change_of_rate(Rates(self.null, flagged, crossing))
        return Excess(
            value=change.value,
            low=change.low,
            high=change.high,
            p=mcnemar_p(self.only_flagged, self.only_null),
        )


def worst_group(
    groups: Sequence[GroupSummary], column: str | None = None, *, of_classes: bool = False
) -> WorstGroup | None:
    """The lowest accuracy among groups of enough labelled images, as in a rule of the gate."""
    rates = {group.name: group.accuracy for group in groups if group.accuracy.of >= ENOUGH}
    if not rates:
        return None
    worst = min(rates, key=lambda name: rates[name].count / rates[name].of)
    right_n = np.concatenate([np.arange(rate.of) < rate.count for rate in rates.values()])
    group_n = np.repeat(np.arange(len(rates)), [rate.of for rate in rates.values()])
    low, high = interval_of_worst(right_n.astype(float), group_n, 0.95)
    lowest = rates[worst].count / rates[worst].of
    accuracy = Interval(value=lowest, low=low, high=high, of=rates[worst].of)
    return WorstGroup(
        name=worst, accuracy=accuracy, groups=len(rates), column=column, of_classes=of_classes
    )


def find_worst_group(
    groups: Mapping[str, Sequence[GroupSummary]], column: str | None, of_classes: ClassGroups | None
) -> WorstGroup | None:
    """Among the values of the group column, else among groups of classes, else among labels."""
    if column is not None:
        return worst_group(groups.get(column, ()), column)
    if of_classes is not None:
        return worst_group(groups.get(CLASS_GROUPS, ()), of_classes=True)
    return worst_group(groups.get("label", ()))


def class_group_of_each(
    groups: ClassGroups, labels: Sequence[str | None], predictions: Sequence[str]
) -> list[str]:
    """The group of each image's label, or of its prediction where it has none."""
    return [
        groups.group_of[prediction if label is None else label]
        for label, prediction in zip(labels, predictions, strict=True)
    ]


@dataclass
class Groups:
    """Tallies by column and value."""

    tallies: dict[str, dict[str, Tally]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Tally))
    )

    def add(
        self,
        columns: Mapping[str, Sequence[object]],
        outcomes: Iterable[tuple[bool | None, str, bool | None]],
    ) -> None:
        """Add one shard: values by column; correctness, flag and the null's flag by image."""
        for row, outcome in enumerate(outcomes):
            for column, values in columns.items():
                if values[row] is not None:
                    self.tallies[column][str(values[row])].add(*outcome)

    def summaries(self) -> dict[str, tuple[GroupSummary, ...]]:
        """Every group, with p corrected for the number of groups that could be judged."""
        tested = [
            (column, name, tally.excess)
            for column, by_name in self.tallies.items()
            for name, tally in by_name.items()
        ]
        judged = [(column, name, excess.p) for column, name, excess in tested if excess]
        corrected = dict(
            zip(
                [(column, name) for column, name, _ in judged],
                adjust_p_values([p for *_, p in judged]),
                strict=True,
            )
        )
        return {
            column: tuple(
                GroupSummary(
                    name=name,
                    accuracy=tally.accuracy,
                    flagged=tally.rate,
                    null=tally.null,
                    excess=tally.excess,
                    q=corrected.get((column, name)),
                )
                for name, tally in sorted(by_name.items())
            )
            for column, by_name in self.tallies.items()
        }
