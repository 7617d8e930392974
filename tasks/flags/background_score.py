"""One score per image: how far its prediction rests on the background. And the same under a null.

A few exchanges tell what all donors would do, since evidence adds up in log-odds of the predicted
class: on a donor's background they are what the object brings plus what that background says by
itself. What the object brings, `e`, is measured on the few backgrounds that it was put on:

    e(i) = weighted mean over its donors d of  logodds p(i on d) - logodds v(d)
    kept(i) = mean over n donors d predicted otherwise than i of  sigmoid(e(i) + logodds v(d))
    score(i) = (4 (1 - kept) + removal + attention) / 6

v(d) is the probability of i's class for donor d's background alone; an exchange weighs
p (1 - p) + 0.05, since odds far from even are known least; removal is
(1 + p(object removed) - p(background removed)) / 2; attention is the map's energy outside of the
foreground. The null score takes the n donors that are predicted as i is: were backgrounds of no
consequence, a donor's prediction would say nothing of its background, and both scores would be
alike. Both take as many donors, as else the mean of fewer would vary more. Shapes: B images, N
donors, K classes, E exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.intervals.flagged_excess import threshold_rank

VERSION = 2  # of the score
LEAST = 1e-4  # probabilities closer to 0 or 1 count as this: float32 and softmax say no more
FLOOR = 0.05  # of the weight of an exchange
WEIGHTS = np.array([4.0, 1.0, 1.0])  # of drop, removal and attention


@dataclass(frozen=True)
class Scores:
    """Of B images; NaN where something that a number needs is missing."""

    kept_B: np.ndarray
    null_kept_B: np.ndarray
    removal_B: np.ndarray
    attention_B: np.ndarray

    @property
    def score_B(self) -> np.ndarray:
        return self._joined(self.kept_B)

    @property
    def null_score_B(self) -> np.ndarray:
        return self._joined(self.null_kept_B)

    @property
    def intervened_B(self) -> np.ndarray:
        """The score without the map's part: what maps themselves are held against."""
        parts_B2 = np.stack([1 - self.kept_B, self.removal_B], 1)
        joined_B: np.ndarray = parts_B2 @ WEIGHTS[:2] / WEIGHTS[:2].sum()
        return joined_B

    def _joined(self, kept_B: np.ndarray) -> np.ndarray:
        """As they are stored: a threshold must mean the same to whoever reads the table."""
        parts_B3 = np.stack([1 - kept_B, self.removal_B, self.attention_B], 1)
        joined_B = parts_B3 @ WEIGHTS / WEIGHTS.sum()
        stored_B: np.ndarray = joined_B.astype(np.float32).astype(np.float64)
        return stored_B


def score_images(interventions: pa.Table, place_B: np.ndarray, votes: DonorPredictions) -> Scores:
    """Scores of images from their interventions, the places of their predicted classes among the
    model's, their `content_id`, and their `share` of the map's energy."""
    said_BN = log_odds(votes.probability_NK[:, place_B].T)
    own_BN = np.array(interventions["content_id"].to_pylist())[:, None] == votes.content_N[None]
    like_BN = (votes.prediction_N[None] == place_B[:, None]) & ~own_BN
    brought_B = _brought(interventions, said_BN, votes)
    held_BN = 1 / (1 + np.exp(-(brought_B[:, None] + said_BN)))
    kept_B, null_kept_B = _means_of_as_many(held_BN, ~like_BN & ~own_BN, like_BN)
    return Scores(
        kept_B=kept_B,
        null_kept_B=null_kept_B,
        removal_B=(1 + _floats(interventions, "reliance_removal")) / 2,
        attention_B=1 - _floats(interventions, "share"),
    )


def threshold_of(null_score: np.ndarray, false_alarm: float) -> float | None:
    """The smallest score that so small a share of the null's exceeds; None for too few images."""
    rank = threshold_rank(len(null_score), false_alarm)
    return None if rank > len(null_score) else float(np.partition(null_score, rank - 1)[rank - 1])


def log_odds(probability: np.ndarray) -> np.ndarray:
    kept = np.clip(probability.astype(np.float64), LEAST, 1 - LEAST)
    odds: np.ndarray = np.log(kept / (1 - kept))
    return odds


def _brought(interventions: pa.Table, said_BN: np.ndarray, votes: DonorPredictions) -> np.ndarray:
    """What each object brings: mean over its exchanges; NaN without one."""
    exchanged = interventions["exchanged"].combine_chunks()
    count_B = pc.list_value_length(exchanged).to_numpy()
    image_E = np.repeat(np.arange(len(count_B)), count_B)
    names = interventions["donors"].combine_chunks().flatten().to_pylist()
    donor_E = np.array([votes.index[name] for name in names], np.int64)
    held_E = exchanged.flatten().to_numpy().astype(np.float64)
    weight_E = held_E * (1 - held_E) + FLOOR
    gained_E = log_odds(held_E) - said_BN[image_E, donor_E]
    weight_B = np.bincount(image_E, weight_E, len(count_B))
    total_B = np.bincount(image_E, weight_E * gained_E, len(count_B))
    return np.where(count_B > 0, total_B / np.maximum(weight_B, FLOOR), np.nan)


def _means_of_as_many(
    value_BN: np.ndarray, one_BN: np.ndarray, other_BN: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two means a row, each over as many donors as the smaller choice has; NaN where that is none.

    Donors of the larger choice are taken evenly, from another first one in each row.
    """
    means_B2 = np.full((len(value_BN), 2), np.nan)
    for row, value_N in enumerate(value_BN):
        choices = [np.flatnonzero(chosen_BN[row]) for chosen_BN in (one_BN, other_BN)]
        count = min(map(len, choices))
        if count:
            means_B2[row] = [value_N[_evenly(choice, count, row)].mean() for choice in choices]
    return means_B2[:, 0], means_B2[:, 1]


def _evenly(places: np.ndarray, count: int, first: int) -> np.ndarray:
    taken: np.ndarray = np.roll(places, -first)[np.arange(count) * len(places) // count]
    return taken


def _floats(table: pa.Table, column: str) -> np.ndarray:
    floats: np.ndarray = table[column].to_numpy().astype(np.float64)
    return floats
