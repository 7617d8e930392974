"""The unit of a figure: which values it can have, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace


def percent(value: float | None) -> str:
    """A share in percent, which never rounds a little to 0% or nearly all to 100%."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < value < 0.0005:
        return "<0.1%"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """A difference of two shares: `+43.4`."""
    return with_sign(100 * value, 1)


def decimal(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.2f}"


def with_sign(number: float, digits: int) -> str:
    """`+0.6`, `−0.6`, and `0.0` where nothing is left after rounding."""
    rounded = round(number, digits)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"


@dataclass(frozen=True)
class Unit:
    """A kind of number. Shares and their differences are stored as 0 to 1 and shown times 100."""

    name: str
    least: float
    most: float
    show: Callable[[float], str]  # in a table
    factor: int = 1  # from the stored number to the shown one
    digits: int = 3  # of a change in a sentence
    suffix: str = ""
    signed: bool = False  # is a plus sign written?

    @property
    def of_change(self) -> Unit:
        """The unit of a difference of two numbers of this unit."""
        if self.factor == SHARE.factor:
            return POINTS
        return replace(self, least=-self.most, signed=True)

    @property
    def is_bounded(self) -> bool:
        """Whether no number is above 1."""
        return self.most <= 1

    def write(self, number: float, digits: int | None = None) -> str:
        """The number without its suffix, to this many digits, or to its last one."""
        scaled = self.factor * number
        written = (
            f"{scaled:.12g}" if digits is None else f"{round(scaled, digits) + 0.0:.{digits}f}"
        )
        plus = "+" if self.signed and float(written) > 0 else ""
        return f"{plus}{written}".replace("-", "−")


SHARE = Unit("share", 0.0, 1.0, percent, 100, 1, "%")
POINTS = Unit("points", -1.0, 1.0, points, 100, 1, " points", signed=True)
RATIO = Unit("ratio", 0.0, 100.0, decimal)
CORRELATION = Unit("correlation", -1.0, 1.0, decimal)
SECONDS = Unit("seconds", 0.0, math.inf, decimal)
COUNT = Unit("count", 0.0, math.inf, decimal)
