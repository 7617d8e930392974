"""One score per image: how far its prediction rests on the background. And the same under a null.

What the prediction keeps on other backgrounds is told in two ways: as the mean over the exchanges
that were made, and as a forecast for all donors (forecast.py). The audit weighs them by how well
each tells exchanges that it did not see, its trust in the forecast, t:

    kept(i) = t forecast(i) + (1 - t) mean over n exchanges with donors predicted otherwise of
              p(i on d)
    null kept(i) = mean over n moves m of  p(i on its own background, moved by m)
    score(i) = (4 (1 - kept) + removal + attention) / 6

removal is (1 + p(object removed) - p(background removed)) / 2; attention is the map's energy
outside the foreground. Where no donor is predicted otherwise, all count: nothing is undecided for
want of donors. The null score puts the null's kept in place of kept: pasting is in both, another
background is in one alone. n is the smaller of the numbers of moves and of such exchanges, since a
mean over fewer draws has wider tails: of unequal numbers the one with fewer would exceed any
threshold more often, whatever the background. Shapes: B images, E exchanges, M moves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.flags.exchanges import Exchanges, mean_by_image, rank_in_image
from tasks.flags.forecast import Trial, forecast_all
from tasks.intervals.flagged_excess import threshold_rank

VERSION = 5  # of the score
WEIGHTS = np.array([4.0, 1.0, 1.0])  # of drop, removal and attention
MOST_OWN_CHANGES = 0.5  # of an image's moves: where more change, pasting itself is at fault


@dataclass(frozen=True)
class Scores:
    """The parts of the score of B images; NaN where what a part needs is missing."""

    kept_B: np.ndarray
    null_kept_B: np.ndarray
    removal_B: np.ndarray
    attention_B: np.ndarray
    moves_B: np.ndarray  # ways in which the own background was moved
    own_changes_B: np.ndarray  # of them, those that change the prediction

    @classmethod
    def missing(cls, images: int) -> Scores:
        return cls(*(np.full(images, np.nan) for _ in fields(cls)))

    @property
    def pasted_poorly_B(self) -> np.ndarray:
        """Whose prediction changes on most of the own backgrounds, moved: pasting says nothing."""
        poorly_B: np.ndarray = self.own_changes_B > MOST_OWN_CHANGES * self.moves_B
        return poorly_B

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


@dataclass(frozen=True)
class Kept:
    """The probability that each of B predictions keeps on other backgrounds, told in two ways."""

    measured_B: np.ndarray  # mean over the exchanges that count; NaN without one
    counted_B: np.ndarray  # how many count
    forecast_B: np.ndarray  # for all donors; NaN without an exchange or a donor

    @classmethod
    def of(
        cls,
        interventions: pa.Table,
        class_B: np.ndarray,
        donors: DonorPredictions,
        exchanges: Exchanges,
    ) -> Kept:
        image_M, _ = _flatten(interventions["moved"])
        moves_B = np.bincount(image_M, minlength=len(class_B))
        most_B = np.where(moves_B > 0, moves_B, len(donors.index))
        return cls(
            exchanges.mean_of_first(exchanges.probability_E, exchanges.other_E, most_B),
            np.minimum(exchanges.counts(exchanges.other_E), most_B),
            forecast_all(interventions["content_id"], class_B, donors, exchanges),
        )

    def weigh(self, trust: float) -> np.ndarray:
        """(B,): both in one number, by the audit's trust in the forecast."""
        mixed_B = trust * self.forecast_B + (1 - trust) * self.measured_B
        kept_B: np.ndarray = np.where(np.isnan(self.forecast_B), self.measured_B, mixed_B)
        return kept_B

    def trust_behind(self, kept_B: np.ndarray) -> Trial:
        """What tells the trust that these were weighed by; unknown ones count nothing."""
        added_B = self.forecast_B - self.measured_B
        explained_B = added_B * (kept_B - self.measured_B)
        known_B = np.isfinite(explained_B)
        return Trial(float(explained_B[known_B].sum()), float((added_B[known_B] ** 2).sum()))


def score_images(
    interventions: pa.Table, class_B: np.ndarray, donors: DonorPredictions, trust: float
) -> Scores:
    """Scores of images, from their interventions with `content_id` and the map's `share`, the
    indices of their predicted classes, and the audit's trust in the forecast."""
    exchanges = Exchanges.of(interventions, class_B, donors)
    image_M, moved_M = _flatten(interventions["moved"])
    moves_B = np.bincount(image_M, minlength=len(class_B))
    first_M = rank_in_image(image_M) < exchanges.counts(exchanges.other_E)[image_M]
    return Scores(
        kept_B=Kept.of(interventions, class_B, donors, exchanges).weigh(trust),
        null_kept_B=mean_by_image(moved_M[first_M], image_M[first_M], len(class_B)),
        removal_B=(1 + _floats(interventions, "reliance_removal")) / 2,
        attention_B=1 - _floats(interventions, "share"),
        moves_B=moves_B.astype(float),
        own_changes_B=np.nan_to_num(moves_B * _floats(interventions, "flips_own")).round(),
    )


def threshold_of(null_score: np.ndarray, false_alarm: float) -> float | None:
    """The lowest score that at most this share of the null exceeds; None for too few images."""
    rank = threshold_rank(len(null_score), false_alarm)
    return None if rank > len(null_score) else float(np.partition(null_score, rank - 1)[rank - 1])


def _flatten(lists: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The row of each value, and the values; null lists have none."""
    rows = lists.combine_chunks()
    count_B = pc.fill_null(pc.list_value_length(rows), 0).to_numpy()
    values: np.ndarray = rows.flatten().to_numpy().astype(np.float64)
    return np.repeat(np.arange(len(count_B)), count_B), values


def _floats(table: pa.Table, column: str) -> np.ndarray:
    floats: np.ndarray = table[column].to_numpy().astype(np.float64)
    return floats
