"""Do backgrounds of one kind act otherwise than others? The unit is the background, never the
exchange: every background has an effect of its own, and the images put on it share that effect.

Shapes: M backgrounds of both kinds, R images that are put on each, D draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.intervals.change import Change

DRAWS = 20_000  # the smallest p is 1 / (DRAWS + 1)
BLOCK = 1 << 22  # numbers held at once
SEED = 0

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def permutation_p(outcome_MR: Floats, of_kind_M: Flags, draws: int = DRAWS) -> float:
    """One-sided: how often backgrounds, told apart by chance, differ as much as the kind does."""
    mean_M = outcome_MR.mean(1)
    kind = int(of_kind_M.sum())
    generator = np.random.default_rng(SEED)
    step, beyond = max(1, BLOCK // len(mean_M)), 0
    measured = _difference(mean_M[None], of_kind_M[None])[0]
    for start in range(0, draws, step):
        random_DM = generator.random((min(step, draws - start), len(mean_M)))
        chosen_DM = random_DM.argsort(1).argsort(1) < kind
        differences_D = _difference(np.broadcast_to(mean_M, chosen_DM.shape), chosen_DM)
        beyond += int((differences_D >= measured - 1e-12).sum())
    return (beyond + 1) / (draws + 1)


def bootstrap_difference(outcome_MR: Floats, of_kind_M: Flags, draws: int = 2_000) -> Change:
    """The difference of the two kinds, with the interval that other backgrounds of each kind would
    give."""
    kind_m, other_m = outcome_MR[of_kind_M].mean(1), outcome_MR[~of_kind_M].mean(1)
    generator = np.random.default_rng(SEED)
    drawn_D = _drawn_means(kind_m, generator, draws) - _drawn_means(other_m, generator, draws)
    low, high = np.quantile(drawn_D, [0.025, 0.975])
    value = float(kind_m.mean() - other_m.mean())
    return Change(value, min(float(low), value), max(float(high), value))


def _drawn_means(value_m: Floats, generator: np.random.Generator, draws: int) -> Floats:
    means_D: Floats = value_m[generator.integers(len(value_m), size=(draws, len(value_m)))].mean(1)
    return means_D


def _difference(value_DM: Floats, chosen_DM: Flags) -> Floats:
    total_D = np.where(chosen_DM, value_DM, 0).sum(1)
    count_D = chosen_DM.sum(1)
    rest_D = value_DM.sum(1) - total_D
    difference_D: Floats = total_D / count_D - rest_D / (value_DM.shape[1] - count_D)
    return difference_D
