"""The images whose features are nearest to one's. Shapes: N rows of the catalog, F numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np

from tasks.explorer.features import FeatureArray, read_features
from tasks.query.filters import Space
from tasks.runs.rows import RunRows
from tasks.schema.values import Value

NEAREST = 8
BLOCK = 1 << 16  # rows that are float32 at a time


class Neighbour(Value):
    row_id: str
    distance: float  # 1 minus the cosine: 0 for the same direction, at most 2


class Neighbours:
    """Nearest images of a run by the cosine of their features, which are read once for each space.

    Many threads may ask.
    """

    def __init__(self, rows: RunRows) -> None:
        self._rows = rows
        self._read: dict[Space, Directions] = {}
        self._reading = Lock()

    def nearest(self, row_id: str, space: Space) -> tuple[Neighbour, ...]:
        """The nearest first; empty for an image that has no features in this space."""
        number = self._rows.number(row_id)
        directions = self._directions(space)
        if not directions.features.known_N[number]:
            return ()
        distance_N = directions.distances(number)
        nearest = smallest(distance_N, NEAREST)
        return tuple(
            Neighbour(row_id=self._rows.row_ids[n].as_py(), distance=max(0.0, float(distance_N[n])))
            for n in nearest.tolist()
        )

    def _directions(self, space: Space) -> Directions:
        with self._reading:
            if space not in self._read:
                self._read[space] = Directions(read_features(self._rows, space))
            return self._read[space]


@dataclass(frozen=True)
class Directions:
    """Vectors as they are stored, and what divides each to be of length 1."""

    features: FeatureArray

    def distances(self, number: int) -> np.ndarray:
        """(N,) float32; infinite for the row itself and for rows without a direction."""
        vector_NF = self.features.vector_NF
        query_F = vector_NF[number].astype(np.float32) * self._inverse_N[number]
        distance_N = np.empty(len(vector_NF), np.float32)
        for start in range(0, len(vector_NF), BLOCK):
            block = slice(start, start + BLOCK)
            cosine_n = (vector_NF[block].astype(np.float32) @ query_F) * self._inverse_N[block]
            distance_N[block] = 1 - cosine_n
        distance_N[~self.features.known_N] = np.inf
        distance_N[number] = np.inf
        return distance_N

    @cached_property
    def _inverse_N(self) -> np.ndarray:
        """1 / length; 0 where a vector is missing or all zeros."""
        vector_NF = self.features.vector_NF
        length_N = np.empty(len(vector_NF), np.float32)
        for start in range(0, len(vector_NF), BLOCK):
            block = slice(start, start + BLOCK)
            length_N[block] = np.linalg.norm(vector_NF[block].astype(np.float32), axis=1)
        with np.errstate(divide="ignore"):
            return np.where(length_N > 0, 1 / length_N, 0).astype(np.float32)


def smallest(distance_N: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the smallest finite values, in order; ties by number."""
    finite = np.flatnonzero(np.isfinite(distance_N))
    if len(finite) > count:
        limit = np.partition(distance_N[finite], count - 1)[count - 1]
        finite = finite[distance_N[finite] <= limit]
    order: np.ndarray = finite[np.argsort(distance_N[finite], kind="stable")]
    return order[:count]
