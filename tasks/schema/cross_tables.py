"""Classes by the values of a column: how often each is right, and how often it is said wrongly."""

from __future__ import annotations

from typing import Literal

from tasks.schema.values import Rate, Value


class CrossCell(Value):
    """One class, or one group of classes, where a column has one value."""

    right: Rate  # of the images with this label, those predicted right
    said: Rate  # of the images with other labels, those predicted as this class


class CrossRow(Value):
    """One class, with a cell for each value of the column."""

    name: str
    cells: tuple[CrossCell, ...]


class Contrast(Value):
    """A rate of one class where a column has one value, which surely differs from elsewhere."""

    figure: Literal["right", "said"]
    name: str  # the class
    value: str  # of the column
    here: Rate
    elsewhere: Rate
    low: float  # of here - elsewhere, with an interval that
    high: float  # holds for all cells of all columns together


class CrossTable(Value):
    """The classes by the values of one column of the user's table, what is surest first."""

    of_groups: bool = False  # are the rows groups of classes?
    labelled: bool  # without any label, `said` is of all images
    values: tuple[str, ...]
    rows: tuple[CrossRow, ...]
    more_values: int  # that are left out
    more_rows: int
    contrast: Contrast | None  # the surest; None where no rate surely differs from elsewhere
