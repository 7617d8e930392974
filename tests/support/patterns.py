"""Patterns to compare, count and draw."""

from __future__ import annotations

from typing import Any

from tasks.schema import Interval, Pattern, PatternSummary, wilson


def confirmed_pattern(identity: str, pulls_to: str = "mushroom", **changes: Any) -> Pattern:
    """A pattern of a quarter of 400 images."""
    ordinary: dict[str, Any] = {
        "id": identity,
        "name": f"background {identity}",
        "space": "background",
        "clusters": (1, 2),
        "pulls_to": pulls_to,
        "exchanged": "background",
        "images": 100,
        "label_share": wilson(25, 100),
        "alone": wilson(90, 100),
        "stability": 1.0,
        "verdict": "confirmed",
        "sentence": f"82% of images are predicted as {pulls_to} on such backgrounds.",
        "effect": Interval(value=0.8, low=0.7, high=0.9, of=32),
        "on_pattern": wilson(315, 384),
        "on_others": wilson(8, 384),
        "p": 1e-4,
        "q": 2e-4,
        "exemplars": (),
        "controls": (),
        "recipients": (),
    }
    return Pattern(**{**ordinary, **changes})


def patterns(*candidates: Pattern, **changes: Any) -> PatternSummary:
    ordinary: dict[str, Any] = {"halves": (197, 203), "forwards": 1000, "numbered": 9}
    return PatternSummary(candidates=candidates, **{**ordinary, **changes})
