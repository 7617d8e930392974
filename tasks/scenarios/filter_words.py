"""A filter in words, and which of its conditions depend on what the model says."""

from __future__ import annotations

from collections.abc import Iterator

from models.errors import printable
from tasks.query.columns import BEFORE, WORDS
from tasks.query.filters import Condition, ContainsText, Filter, HasValue, InLasso, InRange, IsRow

# Our columns that any model would leave as they are.
OF_THE_DATA = frozenset(
    {
        *("row_id", "image", "mask", "label", "label_group", "copies"),
        *("foreground", "area", "estimate_confidence"),
        *("width", "height", "brightness", "contrast", "sharpness", "jpeg_quality"),
    }
)
NAMED = 5  # values that a description names


def describe_filter(chosen: Filter) -> str:
    """`weather is 'snow' or missing, score is 0.5 or more`."""
    return ", ".join(map(_describe, chosen.conditions)) or "every image"


def depends_on_model(chosen: Filter) -> list[str]:
    """What it asks that another model would answer otherwise: columns, and places in a plot."""
    return list(dict.fromkeys(_answers(chosen)))


def _answers(chosen: Filter) -> Iterator[str]:
    ours = frozenset(WORDS) - OF_THE_DATA
    for condition in chosen.conditions:
        if isinstance(condition, InLasso):
            yield f"the plot of the features ({condition.space})"
        elif not isinstance(condition, IsRow):
            if condition.column is None:
                yield "the text of every column"
            elif condition.column.removeprefix(BEFORE) in ours:
                yield condition.column


def _describe(condition: Condition) -> str:
    if isinstance(condition, HasValue):
        return f"{printable(condition.column)} is {_any_of(condition.values)}"
    if isinstance(condition, InRange):
        return f"{printable(condition.column)} is {_limits(condition)}"
    if isinstance(condition, ContainsText):
        column = "any text" if condition.column is None else printable(condition.column)
        return f"{column} contains {printable(condition.text)!r}"
    if isinstance(condition, IsRow):
        count = len(condition.row_ids)
        return (
            f"row_id is one of {count:,}" if count != 1 else f"row_id is {condition.row_ids[0]!r}"
        )
    return f"inside a lasso of {len(condition.polygon)} corners in the plot of {condition.space}"


def _any_of(values: tuple[str | None, ...]) -> str:
    if not values:
        return "one of none"
    named = [repr(printable(value)) for value in values if value is not None]
    rest = [f"{len(named) - NAMED:,} more"] if len(named) > NAMED else []
    missing = ["missing"] if None in values else []
    return " or ".join([*named[:NAMED], *rest, *missing])


def _limits(condition: InRange) -> str:
    """With all digits that a whole number may have, such as a date's."""
    low, high = (None if it is None else f"{it:.15g}" for it in (condition.low, condition.high))
    if low is None:
        return "a number" if high is None else f"{high} or less"
    return f"{low} or more" if high is None else f"{low} to {high}"
