"""Groups by one property alone: the images with the lowest, or the highest, values.

Some shortcuts, such as a blur, are one number among others that say what the scene is: clusters of
all numbers would divide scenes. Shapes: N images, Q steps of equally many images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.discover.clusters import NOWHERE, Union

STEPS = 20


@dataclass(frozen=True)
class Ranks:
    """From one end of a property's values on, in steps."""

    edge_q: np.ndarray  # between the steps, ascending
    from_highest: bool

    @classmethod
    def both_ends(cls, value_n: np.ndarray) -> tuple[Ranks, Ranks]:
        """Of a sample; values that are alike are in one step."""
        known_n = value_n[np.isfinite(value_n)]
        inner = np.linspace(0, 1, STEPS + 1)[1:-1]
        edges = np.unique(np.quantile(known_n, inner)) if len(known_n) else np.zeros(0)
        return cls(edges, from_highest=False), cls(edges, from_highest=True)

    @property
    def steps(self) -> int:
        return len(self.edge_q) + 1

    @property
    def unions(self) -> tuple[Union, ...]:
        """The first step, the first two, and so on."""
        return tuple(Union(tuple(range(count)), 1.0) for count in range(1, self.steps))

    def assign(self, value_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step of each image, or NOWHERE without a value; and how far it is from the end."""
        if self.from_highest:
            step_N = self.steps - 1 - np.searchsorted(self.edge_q, value_N, "left")
        else:
            step_N = np.searchsorted(self.edge_q, value_N, "right")
        step_N = np.where(np.isfinite(value_N), step_N, NOWHERE)
        return step_N.astype(np.int16), (step_N / self.steps).astype(np.float32)
