"""A change with its interval, and in words that claim no more than the interval does."""

from __future__ import annotations

from dataclasses import dataclass

MOST_DIGITS = 6


@dataclass(frozen=True)
class Change:
    """now - before, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Unit:
    """How a figure is written: times a factor, with so many digits, and the unit's name."""

    factor: float
    digits: int
    name: str


POINTS = Unit(100, 1, " points")
PLAIN = Unit(1, 3, "")


def describe_change(change: Change, unit: Unit, verb: str | None, doubt: str = "") -> str:
    """`better by +2.0 points (+1.0 to +3.0)`; without a verb, that nothing can be shown, and a
    doubt that keeps an interval without 0 from showing a change."""
    digits = unit.digits if verb is None else _digits_that_leave_out_zero(change, unit)
    value, low, high = (
        _signed(unit.factor * number, digits) for number in (change.value, change.low, change.high)
    )
    if verb is None:
        return f"no change that these numbers can show ({low} to {high}{unit.name}{doubt})"
    return f"{verb} by {value}{unit.name} ({low} to {high})"


def _digits_that_leave_out_zero(change: Change, unit: Unit) -> int:
    """As many more as it takes: `better by +0.0 points (+0.0 to +0.1)` would say and take back."""
    nearest, digits = unit.factor * min(abs(change.low), abs(change.high)), unit.digits
    while digits < MOST_DIGITS and not round(nearest, digits):
        digits += 1
    return digits


def _signed(number: float, digits: int) -> str:
    """With a true minus, and no sign where it rounds to 0."""
    rounded = round(number, digits) + 0.0  # no negative zero
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"
