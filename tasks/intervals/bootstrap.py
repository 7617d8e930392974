"""What other images of the same kind would show: paired bootstrap intervals of a change.

Both sides of an image are drawn together, so that what they share moves no change. Shapes: N
images, R draws of which r are made at once; 2 is before and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.intervals.paired_rates import Change, quantile
from tasks.schema import Interval

DRAWS = 2000
COLUMN_DRAWS = 1000
BLOCKS = 5000  # that are drawn: of one image each, and of more where there are more images
SEED = 0
BLOCK = 1 << 22  # images drawn at once, over all draws of a block

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def bootstrap_change(
    images: int, value: float, statistic: Callable[[Places], Floats], confidence: float = 0.95
) -> Change:
    """`statistic` gives the change of each draw, (r,), from the drawn images' places, (r, N).

    The arms of the 95% percentile interval are stretched to another confidence as a normal's are:
    so far out on the tails lie too few draws.
    """
    drawn_R = np.concatenate([statistic(place_rN) for place_rN in _draws(images)])
    low, high = np.quantile(drawn_R, [0.025, 0.975])
    wider = quantile(confidence) / quantile(0.95)
    down, up = max(0.0, value - float(low)), max(0.0, float(high) - value)
    return Change(value, value - wider * down, value + wider * up)


def change_of_means(value_N2: Floats, confidence: float = 0.95) -> Change:
    """Of the mean over images."""
    return bootstrap_mean(value_N2[:, 1] - value_N2[:, 0], confidence)


def bootstrap_mean(value_N: Floats, confidence: float = 0.95) -> Change:
    """The mean over images, as a change from 0."""
    value = float(value_N.mean())
    return bootstrap_change(
        len(value_N), value, lambda place_rN: value_N[place_rN].mean(1), confidence
    )


def change_of_excess(score_N2: Floats, null_N2: Floats, alarm: float, value: float) -> Change:
    """Of the flagged share less the null's. Each threshold is found again in each draw: it is as
    uncertain as the shares (tasks/flags/background_score.py)."""

    def statistic(place_rN: Places) -> Floats:
        before_r, after_r = (
            _excess(score_N2[place_rN, side], null_N2[place_rN, side], alarm) for side in (0, 1)
        )
        return after_r - before_r

    return bootstrap_change(len(score_N2), value, statistic)


def bootstrap_excess(score_N: Floats, null_N: Floats, alarm: float, value: float) -> Change:
    """The flagged share less the null's of one model, as a change from 0."""
    return bootstrap_change(
        len(score_N), value, lambda place_rN: _excess(score_N[place_rN], null_N[place_rN], alarm)
    )


def fewest(confidence: float) -> int:
    """Images that must differ before a change can be called one: if all of fewer changed for the
    same side, a coin would still do that too often (the sign test)."""
    return math.ceil(1 - math.log2(1 - confidence))


def _draws(images: int) -> Iterator[Places]:
    generator = np.random.default_rng(SEED)
    step = max(1, BLOCK // images)
    for start in range(0, DRAWS, step):
        yield generator.integers(images, size=(min(step, DRAWS - start), images))


def _excess(score_rN: Floats, null_rN: Floats, alarm: float) -> Floats:
    """(r,): flagged less what the null flags, by each draw's own threshold."""
    images = null_rN.shape[1]
    rank = min(images, math.ceil((images + 1) * (1 - alarm))) - 1
    threshold_r1 = np.partition(null_rN, rank, axis=1)[:, rank, None]
    excess_r: Floats = (score_rN > threshold_r1).mean(1) - (null_rN > threshold_r1).mean(1)
    return excess_r


def bootstrap_columns(value_NF: np.ndarray) -> list[Interval | None]:
    """The mean of each column over the images that have it, with a 95% percentile interval."""
    if not len(value_NF):
        return [None] * value_NF.shape[1]
    value_NF = np.random.default_rng(1).permutation(value_NF)  # blocks of neighbours are alike
    there_NF = np.isfinite(value_NF)
    starts = np.unique(np.linspace(0, len(value_NF), BLOCKS, endpoint=False).astype(int))
    total_bF = np.add.reduceat(np.where(there_NF, value_NF, 0).astype(np.float64), starts)
    count_bF = np.add.reduceat(there_NF.astype(np.float64), starts)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(COLUMN_DRAWS):
        block_b = generator.integers(len(starts), size=len(starts))
        count_F = count_bF[block_b].sum(0)
        drawn.append(total_bF[block_b].sum(0) / np.where(count_F > 0, count_F, np.nan))
    low_F, high_F = np.nanquantile(_no_gaps(np.stack(drawn)), [0.025, 0.975], axis=0)
    count_F, total_F = count_bF.sum(0), total_bF.sum(0)
    return [
        Interval(value=total / count, low=low, high=high, of=int(count)) if count else None
        for total, count, low, high in zip(total_F, count_F, low_F, high_F, strict=True)
    ]


def _no_gaps(drawn: np.ndarray) -> np.ndarray:
    """A figure that no image has is no interval: zeros instead of a warning for all-NaN."""
    empty_F = np.isnan(drawn).all(0)
    return np.where(empty_F, 0.0, drawn)
