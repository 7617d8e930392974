"""A change with its interval, and a description that claims no more than the interval does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tasks.schema.units import Unit, with_sign

MOST_DIGITS = 6


class WithInterval(Protocol):
    """A number and the ends of its interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class Change:
    """now - before, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def describe_change(change: WithInterval, unit: Unit, verb: str | None, doubt: str = "") -> str:
    """`better by +2.0 points (+1.0 to +3.0)`. Without a verb, that no change can be shown, followed
    by the doubt, if any, that outweighs an interval without 0."""
    unit = unit.of_change
    digits = unit.digits if verb is None else _digits_that_exclude_zero(change, unit)
    value, low, high = (
        with_sign(unit.factor * number, digits)
        for number in (change.value, change.low, change.high)
    )
    if verb is None:
        return f"no change that these numbers can show ({low} to {high}{unit.suffix}{doubt})"
    return f"{verb} by {value}{unit.suffix} ({low} to {high})"


def _digits_that_exclude_zero(change: WithInterval, unit: Unit) -> int:
    """Enough digits that no `better by +0.0 points (+0.0 to +0.1)` contradicts itself."""
    nearest, digits = unit.factor * min(abs(change.low), abs(change.high)), unit.digits
    while digits < MOST_DIGITS and not round(nearest, digits):
        digits += 1
    return digits
