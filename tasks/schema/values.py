"""Rates and other numbers with their intervals."""

from __future__ import annotations

import math
from statistics import NormalDist

from pydantic import BaseModel, ConfigDict

ENOUGH = 20  # images that a class or a group needs to be judged


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Value):
    """`count` of `of`, with a 95% Wilson interval. Null where `of` is 0."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    of: int


def quantile(confidence: float) -> float:
    """The half-width, in standard errors, of a normal interval of this confidence."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(count: int, of: int, confidence: float = 0.95) -> Rate:
    """A rate with its Wilson score interval."""
    if of == 0:
        return Rate(value=None, low=None, high=None, count=0, of=0)
    p, z = count / of, quantile(confidence)
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return Rate(
        value=p, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count, of=of
    )


class Interval(Value):
    """A figure over images with its 95% bootstrap interval."""

    value: float
    low: float
    high: float
    of: int  # images


class Excess(Value):
    """A flagged rate minus the rate that the null predicts, with a 95% interval."""

    value: float
    low: float
    high: float
    p: float  # one-sided, of the hypothesis of no excess
