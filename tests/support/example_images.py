"""Examples for the gallery: ordinary, hostile, and with things missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.schema import ChangedPicture, Example
from tests.support.audit_summaries import NAMES, SPITEFUL


def example(number: int = 0, size: int = 64) -> Example:
    random = np.random.default_rng(number)
    mask_HW = np.zeros((size, size), dtype=bool)
    mask_HW[size // 4 : size // 2, size // 4 : size // 2] = True
    return Example(
        row_id=f"test/{number:05d}.png",
        label="tent",
        prediction="teapot",
        confidence=0.853,
        correct=False,
        flag="rests_on_background",
        reason="score 0.91 exceeds 0.67",
        score=0.91,
        lift=0.11,
        foreground="annotated",
        other_object=False,
        picture_HW3=random.integers(0, 256, (size, size, 3), dtype=np.uint8),
        map_HW=random.random((size, size)),
        mask_HW=mask_HW,
        changes=changes(size),
    )


def changes(size: int = 64, label: str | None = "teapot") -> tuple[ChangedPicture, ...]:
    """Both removals, three exchanges across classes and one within."""
    picture_HW3 = np.full((size, size, 3), 90, dtype=np.uint8)
    exchanges = [(0.1, "tent"), (0.2, "teapot"), (0.06, "tent"), (0.7, "teapot")]
    return (
        ChangedPicture("object_removed", 0.88, "teapot", picture_HW3, words="object removed"),
        ChangedPicture("background_removed", 0.03, "bus", picture_HW3, words="background removed"),
        *(
            ChangedPicture(
                "exchanged", *outcome, picture_HW3, f"donor {index}", label, same_class=index == 3
            )
            for index, outcome in enumerate(exchanges)
        ),
    )


def examples() -> list[Example]:
    return [example(number) for number in range(3)]


def hostile_examples() -> list[Example]:
    return [
        replace(
            example(0),
            row_id=SPITEFUL,
            label=SPITEFUL,
            prediction=SPITEFUL,
            reason=SPITEFUL,
            changes=tuple(
                replace(change, prediction=name, donor=name, donor_label=name)
                for change, name in zip(changes(), NAMES, strict=True)
            ),
        ),
        replace(example(1), row_id="x" * 4000, prediction="x" * 4000, reason="שועל " * 40),
        replace(
            example(2), label=None, correct=None, mask_HW=None, lift=None, score=None, changes=()
        ),
    ]
