"""AUROC of a score against a truth, over all images and within groups. Shapes: N images."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from tasks.intervals.bootstrap import Draws, percentile_interval


def auroc(score_N: np.ndarray, truth_N: np.ndarray) -> float:
    """How often a true image scores above one that is not; ties count half. NaN for one kind."""
    positive, negative = int(truth_N.sum()), int((~truth_N).sum())
    if not positive or not negative:
        return float("nan")
    above = rankdata(score_N)[truth_N].sum() - positive * (positive + 1) / 2
    return float(above / positive / negative)


def auroc_within(score_N: np.ndarray, truth_N: np.ndarray, group_N: np.ndarray) -> float:
    """The same among images of one group, groups weighted by their pairs."""
    found, pairs = [], []
    for group in np.unique(group_N):
        own_N = group_N == group
        count = int(truth_N[own_N].sum()) * int((~truth_N[own_N]).sum())
        if count:
            found.append(auroc(score_N[own_N], truth_N[own_N]))
            pairs.append(count)
    return float(np.average(found, weights=pairs)) if pairs else float("nan")


def auroc_intervals(
    score_N: np.ndarray, truth_N: np.ndarray, group_N: np.ndarray
) -> dict[str, float]:
    """95% bootstrap intervals of both over images; none where all images are of one kind."""
    if truth_N.all() or not truth_N.any():
        return {}
    overall, within = [], []
    for image_n in Draws.of(len(score_N)).images():
        overall.append(auroc(score_N[image_n], truth_N[image_n]))
        within.append(auroc_within(score_N[image_n], truth_N[image_n], group_N[image_n]))
    low, high = percentile_interval(auroc(score_N, truth_N), np.array(overall))
    low_within, high_within = percentile_interval(
        auroc_within(score_N, truth_N, group_N), np.array(within)
    )
    return {"low": low, "high": high, "within low": low_within, "within high": high_within}
