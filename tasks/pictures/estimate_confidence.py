"""Calibrates the confidence of estimated foregrounds on the pictures that are annotated.

Shapes: N annotated pictures, each with the confidence of its estimate and the estimate's IoU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import UserError

GOOD = 0.5  # the IoU from which an estimate counts as right
FEWEST = 20  # pairs; two parameters fit any fewer
STEPS = 50  # of Newton's method, which needs about eight
CONVERGED = 1e-10
HALVINGS = 30

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ConfidenceCalibration:
    """The probability that an estimate is right: a non-decreasing logistic curve."""

    slope: float  # at least 0; 0 where confidence carries no information
    intercept: float
    pairs: int  # that it was fitted to

    def probability(self, confidence: ArrayLike) -> Array:
        """The probability that IoU is at least `GOOD`, for confidences of any shape."""
        score: Array = self.slope * np.asarray(confidence, np.float64) + self.intercept
        return _logistic(score)

    def least_confidence(self, probability: float) -> float | None:
        """The least confidence at which an estimate is right with this probability, in (0, 1);
        None where no confidence suffices."""
        needed = math.log(probability / (1 - probability)) - self.intercept
        if needed <= 0:
            return 0.0
        if needed > self.slope:
            return None
        return needed / self.slope


def fit_confidence(pairs: Sequence[tuple[float, float]]) -> ConfidenceCalibration:
    """Platt's calibration (1999) of (confidence, IoU) pairs, with a slope of at least 0.

    Platt's targets, (right + 1) / (right + 2) and 1 / (wrong + 2) instead of 1 and 0, are a prior
    that keeps the curve from certainty where pairs are few, or all of them right.
    """
    if len(pairs) < FEWEST:
        raise UserError(
            f"{len(pairs)} annotated pictures are too few to judge estimates by: "
            f"annotate at least {FEWEST}"
        )
    confidence_N, iou_N = np.asarray(pairs, np.float64).T
    right_N = iou_N >= GOOD
    right = int(right_N.sum())
    wrong = len(pairs) - right
    target_N = np.where(right_N, (right + 1) / (right + 2), 1 / (wrong + 2))
    slope, intercept = _fit(confidence_N, target_N)
    if slope < 0:
        mean = float(target_N.mean())
        slope, intercept = 0.0, math.log(mean / (1 - mean))
    return ConfidenceCalibration(slope, intercept, len(pairs))


def _fit(confidence_N: Array, target_N: Array) -> tuple[float, float]:
    """Slope and intercept that minimise the cross-entropy, by Newton's method."""
    mean = float(confidence_N.mean())
    input_N2 = np.stack([confidence_N - mean, np.ones_like(confidence_N)], axis=1)
    curve_2 = np.zeros(2)
    for _ in range(STEPS):
        chance_N = _logistic(input_N2 @ curve_2)
        gradient_2 = input_N2.T @ (chance_N - target_N)
        if np.abs(gradient_2).max() < CONVERGED * len(target_N):
            break
        curvature_22 = (input_N2 * (chance_N * (1 - chance_N))[:, None]).T @ input_N2
        step_2 = np.linalg.pinv(curvature_22) @ gradient_2  # singular where all confidences agree
        curve_2 = _take_step(curve_2, step_2, input_N2, target_N)
    slope, at_mean = curve_2.tolist()
    return slope, at_mean - slope * mean


def _take_step(curve_2: Array, step_2: Array, input_N2: Array, target_N: Array) -> Array:
    """Take the step, halved until the loss does not rise."""
    before = _loss(input_N2 @ curve_2, target_N)
    for _ in range(HALVINGS):
        if _loss(input_N2 @ (curve_2 - step_2), target_N) <= before:
            return curve_2 - step_2
        step_2 = step_2 / 2
    return curve_2


def _loss(score_N: Array, target_N: Array) -> float:
    return float((np.logaddexp(0, score_N) - target_N * score_N).sum())


def _logistic(score: Array) -> Array:
    chance: Array = np.exp(-np.logaddexp(0, -score))
    return chance
