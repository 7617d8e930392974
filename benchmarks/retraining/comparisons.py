"""What the study of retraining compares, and the figures of each row over its seeds.

Shapes: R draws, S seeds, N images, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.retraining.cells import MAPS, ROWS, Cell, CellResult, load_cell
from benchmarks.retraining.pictures import StudyPictures
from benchmarks.retraining.seed_bootstrap import Drawn
from tasks.intervals.bootstrap import Floats
from tasks.synthetic.dataset import plan
from tasks.synthetic.settings import BenchmarkSettings

SEEDS = (1, 2, 3)
HEADLINES = ("erm", "swap", "sib, interventional")
SECOND_LOOK = ("before", *HEADLINES)
WITHOUT = (
    "before",
    "erm",
    "swap",
    "sib, paper",
    "sib, robust, annotated",
    "sib, feature",
    "sib, interventional",
)
CHEAPER = tuple(name for name, row in ROWS.items() if not 0.9 < row.cost < 1.1)


@dataclass(frozen=True)
class Comparison:
    """Several rows on the same pictures."""

    title: str
    look: str
    strength: float
    rows: tuple[str, ...]
    equal: str = "steps"
    seeds: tuple[int, ...] = SEEDS

    def cells(self, row: str) -> list[Cell]:
        return [
            Cell(StudyPictures(self.look, "small", self.strength, seed), row, self.equal)
            for seed in self.seeds
        ]

    def kept(self) -> Comparison:
        """With only the seeds that have every headline, and the rows that all of these have."""
        first = [row for row in self.rows if row in HEADLINES] or list(self.rows)
        seeds = tuple(seed for seed in self.seeds if self._has(first, seed))
        rows = tuple(row for row in self.rows if all(self._has([row], seed) for seed in seeds))
        return replace(self, rows=rows, seeds=seeds)

    def _has(self, rows: Sequence[str], seed: int) -> bool:
        only = replace(self, seeds=(seed,))
        return all(cell.file.exists() for row in rows for cell in only.cells(row))


STRONG = Comparison("A strong shortcut, equal steps", "first", 0.95, tuple(ROWS))
SECONDS = Comparison("A strong shortcut, equal seconds", "first", 0.95, CHEAPER, "seconds")
SECOND = Comparison("The second look, a strong shortcut", "second", 0.95, SECOND_LOOK)
NONE = Comparison("No shortcut", "first", 0.25, WITHOUT)
COMPARISONS = (STRONG, SECOND, NONE, SECONDS)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Of the test pictures, known without drawing them."""

    label_N: NDArray[np.int64]
    background_N: NDArray[np.int64]

    @classmethod
    def of(cls, settings: BenchmarkSettings) -> GroundTruth:
        rows = [row for row in plan(settings) if row.split == "test"]
        return cls(
            np.array([settings.classes.index(row.label) for row in rows]),
            np.array([settings.backgrounds.index(row.background) for row in rows]),
        )

    @cached_property
    def follows_N(self) -> NDArray[np.bool_]:
        """Is the picture's background the one of its class in training?"""
        follows_N: NDArray[np.bool_] = self.label_N == self.background_N
        return follows_N

    @cached_property
    def group_GN(self) -> Floats:
        """1 where the picture is of the group."""
        group_N = self.label_N * 4 + self.background_N
        group_GN: Floats = (group_N == np.arange(16)[:, None]).astype(np.float64)
        return group_GN


@lru_cache(maxsize=3)
def draws_for(seeds: int) -> Drawn:
    """For the benchmark's 1,280 test pictures."""
    return Drawn.of(1280, seeds)


def figures_of(cell: Cell, result: CellResult, seeds: int) -> dict[str, Floats]:
    """(R,) of each figure of one network."""
    truth, draws = GroundTruth.of(cell.pictures.settings), draws_for(seeds)
    right_N = (result.prediction_N == truth.label_N).astype(np.float64)
    changed_SN = (result.redrawn_SN != result.prediction_N).astype(np.float64)
    figures = {
        "accuracy": draws.means(right_N),
        "worst group": draws.worst(right_N, truth.group_GN),
        "follows": draws.means(np.where(truth.follows_N, right_N, np.nan)),
        "flips": draws.means(changed_SN[1:].mean(0)),
        "flips within": draws.means(changed_SN[0]),
    }
    return figures | {name: draws.means(result.lift_M[name]) for name in MAPS}


@cache
def figures_of_row(comparison: Comparison, row: str) -> dict[str, Floats]:
    """(R,) of each figure: the mean over seeds, drawn again too."""
    cells = comparison.cells(row)
    found = [figures_of(cell, load_cell(cell), len(cells)) for cell in cells]
    return {
        name: draws_for(len(cells)).over_seeds(np.stack([own[name] for own in found]))
        for name in found[0]
    }
