"""One score per image: how far its prediction rests on the background. And the same under a null.

A few exchanges predict what all donors would do, because evidence adds up in the log-odds of the
predicted class: on a donor's background they are the object's contribution plus that of the
background alone. The object's contribution, `e`, is measured on the few backgrounds it was put on:

    e(i) = weighted mean over its donors d of  logodds p(i on d) - logodds v(d)
    kept(i) = mean over n donors d predicted otherwise than i of  sigmoid(e(i) + logodds v(d))
    score(i) = (4 (1 - kept) + removal + attention) / 6

v(d) is the probability of i's class for donor d's background alone; an exchange is weighted by
p (1 - p) + 0.05, since odds far from even are known least; removal is
(1 + p(object removed) - p(background removed)) / 2; attention is the map's energy outside the
foreground. The null score uses the n donors that are predicted as i is: if backgrounds did not
matter, a donor's prediction would say nothing about its background, and both scores would be
alike. Both use the same number of donors, since a mean over fewer would vary more. Shapes: B
images, N donors, K classes, E exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.intervals.flagged_excess import threshold_rank

VERSION = 2  # of the score
CLOSEST = 1e-4  # probabilities closer to 0 or 1 are clipped to this: softmax resolves no more
FLOOR = 0.05  # of an exchange's weight
WEIGHTS = np.array([4.0, 1.0, 1.0])  # of drop, removal and attention


@dataclass(frozen=True)
class Scores:
    """The parts of the score of B images; NaN where what a part needs is missing."""

    kept_B: np.ndarray
    null_kept_B: np.ndarray
    removal_B: np.ndarray
    attention_B: np.ndarray

    @property
    def score_B(self) -> np.ndarray:
        return self._combine(self.kept_B)

    @property
    def null_score_B(self) -> np.ndarray:
        return self._combine(self.null_kept_B)

    @property
    def intervened_B(self) -> np.ndarray:
        """The score without the map's part: what maps themselves are compared with."""
        parts_B2 = np.stack([1 - self.kept_B, self.removal_B], 1)
        score_B: np.ndarray = parts_B2 @ WEIGHTS[:2] / WEIGHTS[:2].sum()
        return score_B

    def _combine(self, kept_B: np.ndarray) -> np.ndarray:
        """In the stored precision, so that the threshold means the same to readers of the table."""
        parts_B3 = np.stack([1 - kept_B, self.removal_B, self.attention_B], 1)
        score_B = parts_B3 @ WEIGHTS / WEIGHTS.sum()
        stored_B: np.ndarray = score_B.astype(np.float32).astype(np.float64)
        return stored_B


def score_images(interventions: pa.Table, class_B: np.ndarray, donors: DonorPredictions) -> Scores:
    """Scores of images, from their interventions with `content_id` and the map's `share`, and the
    indices of their predicted classes."""
    background_BN = log_odds(donors.probability_NK[:, class_B].T)
    own_BN = np.array(interventions["content_id"].to_pylist())[:, None] == donors.content_N[None]
    usable_BN = ~own_BN & donors.is_known_N
    alike_BN = (donors.prediction_N[None] == class_B[:, None]) & usable_BN
    object_B = _object_log_odds(interventions, background_BN, donors)
    probability_BN = 1 / (1 + np.exp(-(object_B[:, None] + background_BN)))
    kept_B, null_kept_B = _means_of_equal_counts(probability_BN, ~alike_BN & usable_BN, alike_BN)
    return Scores(
        kept_B=kept_B,
        null_kept_B=null_kept_B,
        removal_B=(1 + _floats(interventions, "reliance_removal")) / 2,
        attention_B=1 - _floats(interventions, "share"),
    )


def threshold_of(null_score: np.ndarray, false_alarm: float) -> float | None:
    """The lowest score that at most this share of the null exceeds; None for too few images."""
    rank = threshold_rank(len(null_score), false_alarm)
    return None if rank > len(null_score) else float(np.partition(null_score, rank - 1)[rank - 1])


def log_odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability.astype(np.float64), CLOSEST, 1 - CLOSEST)
    logit: np.ndarray = np.log(clipped / (1 - clipped))
    return logit


def _object_log_odds(
    interventions: pa.Table, background_BN: np.ndarray, donors: DonorPredictions
) -> np.ndarray:
    """Each object's contribution: weighted mean over its exchanges; NaN without one."""
    exchanged = interventions["exchanged"].combine_chunks()
    count_B = pc.list_value_length(exchanged).to_numpy()
    image_E = np.repeat(np.arange(len(count_B)), count_B)
    names = interventions["donors"].combine_chunks().flatten().to_pylist()
    donor_E = np.array([donors.index[name] for name in names], np.int64)
    probability_E = exchanged.flatten().to_numpy().astype(np.float64)
    weight_E = (probability_E * (1 - probability_E) + FLOOR) * donors.is_known_N[donor_E]
    object_E = log_odds(probability_E) - np.nan_to_num(background_BN[image_E, donor_E])
    weight_B = np.bincount(image_E, weight_E, len(count_B))
    total_B = np.bincount(image_E, weight_E * object_E, len(count_B))
    return np.where(weight_B > 0, total_B / np.maximum(weight_B, FLOOR), np.nan)


def _means_of_equal_counts(
    value_BN: np.ndarray, one_BN: np.ndarray, other_BN: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two means per row, both over as many donors as the smaller choice has; NaN where it is empty.

    Donors of the larger choice are picked evenly, starting at a different one in each row.
    """
    means_B2 = np.full((len(value_BN), 2), np.nan)
    for row, value_N in enumerate(value_BN):
        choices = [np.flatnonzero(chosen_BN[row]) for chosen_BN in (one_BN, other_BN)]
        count = min(map(len, choices))
        if count:
            means_B2[row] = [value_N[_pick_evenly(choice, count, row)].mean() for choice in choices]
    return means_B2[:, 0], means_B2[:, 1]


def _pick_evenly(indices: np.ndarray, count: int, first: int) -> np.ndarray:
    picked: np.ndarray = np.roll(indices, -first)[np.arange(count) * len(indices) // count]
    return picked


def _floats(table: pa.Table, column: str) -> np.ndarray:
    floats: np.ndarray = table[column].to_numpy().astype(np.float64)
    return floats
