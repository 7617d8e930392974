"""Classes by the values of a column, and where one is surely said too often, or surely wrong.

Of many classes, the rows are groups of them, where the user names groups.
Shapes: B images of a shard, K classes or groups of classes, V values of a column.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks import schema
from tasks.intervals.bootstrap import Floats, Indices
from tasks.intervals.independent_rates import Shares, differences
from tasks.intervals.many_comparisons import simultaneous_confidence

COLUMNS = 12  # that get a table: a thousand classes take a megabyte for each
ROWS, VALUES = 15, 6  # of a table
MOST_CLASSES = 30  # that a table has a row for; of more, their groups are the rows

CrossFigure = Literal["said", "right"]
FIGURES: tuple[CrossFigure, ...] = ("said", "right")


@dataclass(frozen=True)
class TableRows:
    """The rows of the tables: the classes, or groups of them."""

    names: tuple[str, ...]
    number_of: Mapping[str, int]  # by class
    of_groups: bool

    @classmethod
    def of(
        cls, classes: Sequence[str], class_groups: schema.ClassGroups | None = None
    ) -> TableRows:
        """Groups, where there are any and the classes are many."""
        if class_groups is None or len(classes) <= MOST_CLASSES:
            return cls(tuple(classes), {name: row for row, name in enumerate(classes)}, False)
        row_of = {name: row for row, name in enumerate(class_groups.names)}
        number_of = {name: row_of[class_groups.group_of[name]] for name in classes}
        return cls(class_groups.names, number_of, True)


@dataclass(frozen=True)
class Answers:
    """The images of a shard: the row of each one's label and prediction."""

    label_B: Indices  # -1 without a label
    prediction_B: Indices
    right_B: NDArray[np.bool_]  # is the very class predicted?

    @classmethod
    def of(
        cls, labels: Sequence[str | None], predictions: Sequence[str], rows: TableRows
    ) -> Answers:
        label_B = np.array([-1 if name is None else rows.number_of[name] for name in labels])
        prediction_B = np.array([rows.number_of[name] for name in predictions])
        right_B = np.array([*map(operator.eq, labels, predictions)], bool)
        return cls(label_B.astype(np.int64), prediction_B.astype(np.int64), right_B)


@dataclass
class ColumnCounts:
    """Images by class and value of one column, added up shard by shard."""

    classes: int  # or groups of them
    number_of: dict[str, int] = field(default_factory=dict)  # of each value
    label_KV: Indices = field(init=False)
    right_KV: Indices = field(init=False)
    said_KV: Indices = field(init=False)  # predictions of images with a label of another row
    unlabelled_KV: Indices = field(init=False)  # predictions of the others

    def __post_init__(self) -> None:
        none_KV = np.zeros((self.classes, 0), np.int64)
        self.label_KV = self.right_KV = self.said_KV = self.unlabelled_KV = none_KV

    def add(self, values: Sequence[object], answers: Answers) -> None:
        """Add a shard; images without a value count nowhere."""
        value_B = np.array([self._number(value) for value in values], np.int64)
        label_B, prediction_B = answers.label_B, answers.prediction_B
        known_B = value_B >= 0
        labelled_B = known_B & (label_B >= 0)
        right_B = labelled_B & answers.right_B
        said_B = labelled_B & (label_B != prediction_B)
        self.label_KV = self._count(self.label_KV, label_B, value_B, labelled_B)
        self.right_KV = self._count(self.right_KV, label_B, value_B, right_B)
        self.said_KV = self._count(self.said_KV, prediction_B, value_B, said_B)
        unlabelled_B = known_B & (label_B < 0)
        self.unlabelled_KV = self._count(self.unlabelled_KV, prediction_B, value_B, unlabelled_B)

    def _number(self, value: object) -> int:
        return -1 if value is None else self.number_of.setdefault(str(value), len(self.number_of))

    def _count(
        self, count_KV: Indices, class_B: Indices, value_B: Indices, chosen_B: NDArray[np.bool_]
    ) -> Indices:
        """The counts with those of the chosen images, and with columns for new values."""
        new = len(self.number_of) - count_KV.shape[1]
        if new:
            count_KV = np.hstack([count_KV, np.zeros((self.classes, new), np.int64)])
        np.add.at(count_KV, (class_B[chosen_B], value_B[chosen_B]), 1)
        return count_KV


@dataclass(frozen=True, eq=False)
class _Rates:
    """Both rates of each class with each value, there and where the column has another value."""

    labelled: bool
    right: Shares
    said: Shares

    @classmethod
    def of(cls, counts: ColumnCounts) -> _Rates:
        labelled = bool(counts.label_KV.any())
        said_KV = counts.said_KV if labelled else counts.unlabelled_KV
        images_V = (counts.label_KV if labelled else counts.unlabelled_KV).sum(0)
        others_KV = images_V - counts.label_KV
        return cls(
            labelled,
            Shares(counts.right_KV, counts.label_KV),
            Shares(said_KV, others_KV),
        )

    def judged(self, figure: CrossFigure) -> NDArray[np.bool_]:
        """(K, V): where both rates are of enough images; a class never predicted says nothing."""
        here: Shares = getattr(self, figure)
        enough_KV = np.minimum(here.of, _elsewhere(here).of) >= schema.ENOUGH
        occurs_KV = self.said.count.sum(1, keepdims=True) > 0 if figure == "said" else True
        judged_KV: NDArray[np.bool_] = enough_KV & occurs_KV
        return judged_KV

    def ends(self, figure: CrossFigure, confidence: float) -> tuple[Floats, Floats]:
        """(K, V) twice: of the difference from elsewhere; NaN where it is not judged."""
        here: Shares = getattr(self, figure)
        judged_KV = self.judged(figure)
        low_KV, high_KV = differences(here, _elsewhere(here), confidence)
        return np.where(judged_KV, low_KV, np.nan), np.where(judged_KV, high_KV, np.nan)


def cross_tables(
    counts: Mapping[str, ColumnCounts], rows: TableRows
) -> dict[str, schema.CrossTable]:
    """A table for each column; intervals hold for all cells of all columns together."""
    rates = {name: _Rates.of(column) for name, column in counts.items()}
    judged = sum(
        int(column.judged(figure).sum()) for column in rates.values() for figure in FIGURES
    )
    confidence = simultaneous_confidence(judged)
    return {
        name: _Table(rates[name], tuple(column.number_of), rows, confidence).summary()
        for name, column in counts.items()
    }


@dataclass(frozen=True, eq=False)
class _Table:
    """The rates of one column, to be ordered and cut."""

    rates: _Rates
    values: tuple[str, ...]
    rows: TableRows
    confidence: float

    def summary(self) -> schema.CrossTable:
        used = np.flatnonzero((self.rates.right.of + self.rates.said.count).sum(1)).tolist()
        sure_KV = self._sureness()
        images_V = (self.rates.right.of + self.rates.said.of).max(0, initial=0)
        rows = sorted(used, key=lambda row: (-sure_KV[row].max(initial=0), self.rows.names[row]))
        if len(used) > ROWS:  # of many, the others would be any
            rows = [row for row in rows if sure_KV[row].max(initial=0) > 0][:ROWS]
        columns = sorted(
            range(len(self.values)),
            key=lambda value: (-sure_KV[:, value].max(initial=0), -images_V[value]),
        )
        return schema.CrossTable(
            of_groups=self.rows.of_groups,
            labelled=self.rates.labelled,
            values=tuple(self.values[value] for value in columns[:VALUES]),
            rows=tuple(self._row(row, columns[:VALUES]) for row in rows),
            more_values=len(columns[VALUES:]),
            more_rows=len(used) - len(rows),
            contrast=next(self._contrasts(), None),
        )

    def _sureness(self) -> Floats:
        """(K, V): how far an interval is from no difference; 0 where it holds that, or is none."""
        ends = [self.rates.ends(figure, self.confidence) for figure in FIGURES]
        sure = [np.maximum(low_KV, -high_KV) for low_KV, high_KV in ends]
        return np.nan_to_num(np.fmax(*sure)).clip(min=0)

    def _row(self, row: int, columns: Sequence[int]) -> schema.CrossRow:
        right, said = self.rates.right, self.rates.said
        cells = tuple(
            schema.CrossCell(right=_rate(right, row, value), said=_rate(said, row, value))
            for value in columns
        )
        return schema.CrossRow(name=self.rows.names[row], cells=cells)

    def _contrasts(self) -> Iterator[schema.Contrast]:
        """Where a class is most surely said too often; then where one is most surely wrong."""
        low_KV, _ = self.rates.ends("said", self.confidence)
        _, high_KV = self.rates.ends("right", self.confidence)
        if np.nanmax(low_KV, initial=0) > 0:
            yield self._contrast("said", int(np.nanargmax(low_KV)))
        if np.nanmin(high_KV, initial=0) < 0:
            yield self._contrast("right", int(np.nanargmin(high_KV)))

    def _contrast(self, figure: CrossFigure, cell: int) -> schema.Contrast:
        row, value = divmod(cell, len(self.values))
        here: Shares = getattr(self.rates, figure)
        low_KV, high_KV = self.rates.ends(figure, self.confidence)
        return schema.Contrast(
            figure=figure,
            name=self.rows.names[row],
            value=self.values[value],
            here=_rate(here, row, value),
            elsewhere=_rate(_elsewhere(here), row, value),
            low=float(low_KV[row, value]),
            high=float(high_KV[row, value]),
        )


def _elsewhere(here: Shares) -> Shares:
    """The same class where the column has any other value."""
    count, of = (total.sum(1, keepdims=True) - total for total in (here.count, here.of))
    return Shares(count, of)


def _rate(shares: Shares, row: int, value: int) -> schema.Rate:
    return schema.wilson(int(shares.count[row, value]), int(shares.of[row, value]))
