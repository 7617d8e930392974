"""Images that only one of two models gets right, or is flagged on.

Shapes: N images, 2 is before and after (NaN where the two cannot be compared).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import schema
from tasks.compare.paired_images import PairedImages

SHOWN = 24  # at most
IMPROVEMENTS = SHOWN // 3  # shown however many regressions there are


def count_changes(images: PairedImages) -> dict[schema.ChangeKind, int]:
    """The number of images of each kind of change."""
    return {kind: int(which_N.sum()) for kind, which_N in _changes(images).items()}


def worst_changes(images: PairedImages) -> tuple[schema.ChangedImage, ...]:
    """The worst regressions first, then the largest improvements."""
    changes = _changes(images)
    worse_N = np.any([changes[kind] for kind in schema.REGRESSIONS], 0)
    better_N = np.any(list(changes.values()), 0) & ~worse_N
    order_N = _worst_first(images)
    worse, better = order_N[worse_N[order_N]], order_N[better_N[order_N]][::-1]
    better = better[: max(IMPROVEMENTS, SHOWN - len(worse))]
    indices = [*worse[: SHOWN - len(better)].tolist(), *better.tolist()]
    before, after = (
        [row for index in indices for row in table.slice(index, 1).to_pylist()]
        for table in (images.before, images.after)
    )
    return tuple(
        schema.ChangedImage(
            row_id=row["row_id"],
            label=row["label"],
            before=_answer(old),
            after=_answer(row),
            turns=tuple(kind for kind in schema.CHANGE_KINDS if changes[kind][index]),
        )
        for index, old, row in zip(indices, before, after, strict=True)
    )


def _changes(images: PairedImages) -> dict[schema.ChangeKind, np.ndarray]:
    """Which images show each kind of change; comparisons with NaN are false."""
    right_N2, flagged_N2 = images.values("correct"), images.values("flagged")
    return {
        "broken": right_N2[:, 0] > right_N2[:, 1],
        "newly_flagged": flagged_N2[:, 0] < flagged_N2[:, 1],
        "fixed": right_N2[:, 0] < right_N2[:, 1],
        "no_longer_flagged": flagged_N2[:, 0] > flagged_N2[:, 1],
    }


def _worst_first(images: PairedImages) -> np.ndarray:
    """Indices of images: first those both lost and newly flagged, then lost, then newly flagged;
    within each by more flips, then by the later model's confidence."""
    lost_N, flag_N, flips_N = (
        np.nan_to_num(value_N2 @ np.array([-1.0, 1.0]))
        for value_N2 in (
            -images.values("correct"),
            images.values("flagged"),
            images.values("flips"),
        )
    )
    confidence_N = images.values("confidence")[:, 1]
    order_N: np.ndarray = np.lexsort((-confidence_N, -flips_N, -(2 * lost_N + flag_N)))
    return order_N


def _answer(row: dict[str, Any]) -> schema.Answer:
    return schema.Answer(**{name: row[name] for name in schema.Answer.model_fields})
