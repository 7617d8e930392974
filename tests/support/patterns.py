"""Patterns to compare and to count."""

from __future__ import annotations

from typing import Any

from tasks.schema import Interval, Pattern, PatternSummary
from tests.support.pattern_results import pattern


def confirmed_pattern(identity: str, pulls_to: str = "mushroom", **changes: Any) -> Pattern:
    """A pattern of a quarter of 400 images."""
    ordinary = {
        "name": f"background {identity}",
        "images": 100,
        "effect": Interval(value=0.8, low=0.7, high=0.9, of=32),
        "sentence": f"82% of images become {pulls_to} on such backgrounds.",
        **dict.fromkeys(("exemplars", "controls", "recipients"), ()),
    }
    return pattern(identity, pulls_to=pulls_to, **{**ordinary, **changes})


def patterns(*candidates: Pattern, **changes: Any) -> PatternSummary:
    ordinary: dict[str, Any] = {"halves": (197, 203), "forwards": 1000, "numbered": 9}
    return PatternSummary(candidates=candidates, **{**ordinary, **changes})
