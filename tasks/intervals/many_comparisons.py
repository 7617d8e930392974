"""Corrections for many comparisons, of which chance alone makes some look like findings."""

from __future__ import annotations

from collections.abc import Sequence


def simultaneous_confidence(intervals: int, confidence: float = 0.95) -> float:
    """The confidence that each interval needs for all to hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, intervals)


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's q: the false discovery rate at which each is still reported."""
    adjusted = [1.0] * len(p_values)
    largest_first = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    smallest = 1.0
    for rank, index in zip(range(len(p_values), 0, -1), largest_first, strict=True):
        smallest = min(smallest, p_values[index] * len(p_values) / rank)
        adjusted[index] = smallest
    return adjusted
