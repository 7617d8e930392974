"""What is known of each image of a run. Shapes: N images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = -1  # of a class


@dataclass(frozen=True)
class Facts:
    """What is known of each of N images."""

    proposes_N: np.ndarray  # else it confirms; copies of a picture fall on the same side
    content_N: np.ndarray  # uint64, equal for copies
    label_N: np.ndarray  # class, or UNKNOWN
    prediction_N: np.ndarray  # class
    alone_N: np.ndarray  # class predicted without the object; UNKNOWN where none was removed
    bare_N: np.ndarray  # class predicted without the background; UNKNOWN where none was removed
    area_N: np.ndarray  # of the foreground; NaN without one
    brightness_N: np.ndarray

    def __len__(self) -> int:
        return len(self.proposes_N)

    @classmethod
    def join(cls, parts: Sequence[Facts]) -> Facts:
        return cls(
            *(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True))
        )

    @property
    def is_right_N(self) -> np.ndarray:
        """Also where there is no label."""
        right_N: np.ndarray = (self.prediction_N == self.label_N) | (self.label_N == UNKNOWN)
        return right_N

    @property
    def wrong_N(self) -> np.ndarray:
        """The class that is wrongly predicted; UNKNOWN for a right prediction, which says nothing
        of what pulls to its class. Without a label, the prediction."""
        return np.where(self.prediction_N != self.label_N, self.prediction_N, UNKNOWN)

    @property
    def pulled_N(self) -> np.ndarray:
        """The class that the background alone is predicted as. Where no object was removed, a
        wrong prediction of the whole picture."""
        return np.where(self.alone_N == UNKNOWN, self.wrong_N, self.alone_N)


def _columns(facts: Facts) -> tuple[np.ndarray, ...]:
    return tuple(vars(facts).values())
