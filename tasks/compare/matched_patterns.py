"""Which patterns of one run are those of another: most images shared, and the class the same.

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

SAME = 0.5  # of the smaller one's images: patterns that share more are one

Key = TypeVar("Key", bound=Hashable)
Other = TypeVar("Other", bound=Hashable)


@dataclass(frozen=True)
class Overlap:
    """The images of two groups."""

    shared: int
    one: int
    other: int

    @property
    def is_most(self) -> bool:
        return self.shared > SAME * min(self.one, self.other)

    @property
    def jaccard(self) -> float:
        return self.shared / max(1, self.one + self.other - self.shared)


def overlap_of(member_N: np.ndarray, other_N: np.ndarray) -> Overlap:
    """Of two groups of the same images."""
    shared = int((member_N & other_N).sum())
    return Overlap(shared, int(member_N.sum()), int(other_N.sum()))


def match_one_to_one(
    first: Sequence[Key], second: Sequence[Other], overlap: Callable[[Key, Other], Overlap | None]
) -> Mapping[Key, Other]:
    """Pairs that share most images, those of the largest Jaccard index first; `overlap` is None
    where two cannot be the same."""
    pairs = [(one, other, overlap(one, other)) for one in first for other in second]
    same = [(one, other, it) for one, other, it in pairs if it is not None and it.is_most]
    matched: dict[Key, Other] = {}
    for one, other, _ in sorted(same, key=lambda pair: -pair[2].jaccard):
        if one not in matched and other not in matched.values():
            matched[one] = other
    return matched
