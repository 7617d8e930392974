"""Figures as cells of a terminal's table, each with its interval."""

from __future__ import annotations

from reports.formatting import points_interval
from tasks.schema import Excess, Rate
from tasks.schema.units import points


def rate_cell(rate: Rate, missing: str = "-") -> str:
    """`12.3% (11.0 to 13.7; 300 of 2,440)`, or why nothing was counted."""
    if rate.value is None or rate.low is None or rate.high is None:
        return missing
    return (
        f"{rate.value:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f}; "
        f"{rate.count:,} of {rate.of:,})"
    )


def excess_cell(excess: Excess) -> str:
    """`+29.9 (+26.9 to +32.9)`."""
    return f"{points(excess.value)} ({points_interval(excess)})"
