"""Patterns to draw: ordinary, hostile, and with all that may be missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.schema import (
    EnrichedValue,
    Interval,
    Pattern,
    PatternExemplar,
    PatternPictures,
    PatternRecipient,
    PatternSummary,
    PutPicture,
    wilson,
)
from tests.support.audit_summaries import LONG, NAMES, SPITEFUL

SIZE = 32


def pattern(identity: str = "P1", **changes: Any) -> Pattern:
    ordinary: dict[str, Any] = {
        "id": identity,
        "name": "mostly site reef",
        "space": "background",
        "clusters": (3, 7),
        "pulls_to": "tent",
        "exchanged": "background",
        "images": 240,
        "label_share": wilson(60, 240),
        "alone": wilson(216, 240),
        "errors": wilson(58, 61),
        "enriched": (enriched("reef"),),
        "stability": 0.94,
        "verdict": "confirmed",
        "sentence": "41% of images of other classes are predicted as tent on such backgrounds.",
        "effect": Interval(value=0.38, low=0.31, high=0.45, of=32),
        "on_pattern": wilson(157, 384),
        "on_others": wilson(12, 384),
        "p": 5e-5,
        "q": 0.0004,
        "trial": 0,
        "exemplars": ("a.png",),
        "controls": ("b.png",),
        "recipients": ("c.png",),
    }
    return Pattern(**{**ordinary, **changes})


def enriched(value: str, column: str = "site") -> EnrichedValue:
    return EnrichedValue(
        column=column, value=value, members=wilson(204, 240), others=wilson(31, 720), q=1e-9
    )


def not_confirmed(identity: str, **changes: Any) -> Pattern:
    effect = Interval(value=0.02, low=-0.03, high=0.07, of=8)
    return pattern(identity, **{"verdict": "not confirmed", "effect": effect, "q": 0.41, **changes})


def too_few(identity: str) -> Pattern:
    unknown = dict.fromkeys(("effect", "on_pattern", "on_others", "p", "q", "trial"))
    return pattern(
        identity,
        verdict="too few",
        sentence="It could not be judged.",
        name="a rare one",
        **unknown,
    )


def found(*candidates: Pattern) -> PatternSummary:
    return PatternSummary(candidates=candidates, halves=(467, 493), forwards=6144)


def several() -> PatternSummary:
    """A confirmed background, a confounded region, and two that have no card."""
    region = {"exchanged": "region", "region": ((0, 0), (0, 1)), "grid": (8, 8)}
    confounded = pattern("P3", verdict="confounded", name="something in the upper left", **region)
    return found(pattern(), not_confirmed("P2", name="an idea"), confounded, too_few("P4"))


def pictures_of(identity: str = "P1", prediction: str = "tent") -> PatternPictures:
    attended_HW = np.zeros((SIZE, SIZE), bool)
    attended_HW[4:12, 4:12] = True
    outlined = PatternExemplar("a.png", "teapot", prediction, picture(0), attended_HW)
    plain = PatternExemplar("d.png", None, prediction, picture(1), None)
    put = PutPicture(prediction, picture(2), "a.png"), PutPicture("teapot", picture(3), "b.png")
    recipient = PatternRecipient("c.png", "teapot", "teapot", picture(4), *put)
    return PatternPictures(identity, (outlined, plain), (recipient,))


def picture(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def hostile_patterns() -> PatternSummary:
    """Hostile names in cards and in a folded table."""
    return found(
        *(
            pattern(
                f"P{number}",
                name=name,
                pulls_to=name,
                sentence=f"{name} {SPITEFUL}",
                enriched=tuple(enriched(value, name) for value in NAMES),
                label_share=wilson(0, 0),
                verdict="confirmed" if number < 3 else "not confirmed",
            )
            for number, name in enumerate((*NAMES, *NAMES), 1)
        )
    )


def hostile_pictures() -> list[PatternPictures]:
    """Of the first; the second has none that can still be read."""
    exemplars = tuple(
        PatternExemplar(name, name, SPITEFUL, picture(number), None)
        for number, name in enumerate(NAMES)
    )
    put = PutPicture(SPITEFUL, picture(0), LONG), PutPicture(LONG, picture(1), SPITEFUL)
    recipient = PatternRecipient(SPITEFUL, None, LONG, picture(2), *put)
    return [PatternPictures("P1", exemplars, (recipient,)), PatternPictures("P2", (), ())]
