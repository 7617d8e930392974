"""Scores of how far a prediction rests on the background, judged on exchanges that they never saw.

An audit knows a few exchanges of an image; the truth is whether most of twelve fresh ones change
the prediction. The null score is the same score of the image's own background, moved. Shapes: N
photographs, E exchanges, M moves, B backgrounds (one a photograph).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.flags.background_score import threshold_of
from tasks.flags.forecast import FLOOR, log_odds

SEEN, TRUTH = 4, 12  # exchanges that scores see, and those of the truth
FALSE_ALARM = 0.05
MOST_OWN_CHANGES = 0.5  # of own-background pastes: where more change, nothing is decided


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What one network says of photographs pasted in one way."""

    area_N: np.ndarray
    own_NM: np.ndarray  # probability of the class that is predicted for the unchanged photograph
    own_changed_NM: np.ndarray
    seen_NE: np.ndarray
    seen_changed_NE: np.ndarray
    seen_donor_NE: np.ndarray
    truth_N: np.ndarray
    alone_NB: np.ndarray  # probability of the same class for each background alone
    confidence_N: np.ndarray

    @classmethod
    def of(
        cls,
        moved: Mapping[str, np.ndarray],
        exchanged: Mapping[str, np.ndarray],
        seen: int = SEEN,
        moves: int = SEEN,
    ) -> Outcomes:
        """From the two parts of a cell; the truth is the last exchanges."""
        predicted_N1 = moved["prediction"][:, None]
        changed_NE = exchanged["exchanged_prediction"] != predicted_N1
        return cls(
            area_N=moved["area"],
            own_NM=moved["own"][:, :moves].astype(np.float64),
            own_changed_NM=(moved["own_prediction"] != predicted_N1)[:, :moves],
            seen_NE=exchanged["exchanged"][:, :seen].astype(np.float64),
            seen_changed_NE=changed_NE[:, :seen],
            seen_donor_NE=exchanged["donors"][:, :seen],
            truth_N=changed_NE[:, -TRUTH:].mean(1) > 0.5,
            alone_NB=moved["alone"].astype(np.float64),
            confidence_N=moved["confidence"].astype(np.float64),
        )

    def chosen(self, kept_N: np.ndarray) -> Outcomes:
        return Outcomes(**{name: column[kept_N] for name, column in vars(self).items()})


def kept_by_mean(outcomes: Outcomes) -> np.ndarray:
    mean_N: np.ndarray = outcomes.seen_NE.mean(1)
    return mean_N


def object_log_odds(seen_NE: np.ndarray, alone_NE: np.ndarray) -> np.ndarray:
    """Each object's contribution, as in tasks/flags/background_score.py."""
    weight_NE = seen_NE * (1 - seen_NE) + FLOOR
    added_NE = log_odds(seen_NE) - log_odds(alone_NE)
    contribution_N: np.ndarray = (weight_NE * added_NE).sum(1) / weight_NE.sum(1)
    return contribution_N


def kept_by_forecast(outcomes: Outcomes) -> np.ndarray:
    """The mean over all backgrounds that the additive forecast gives."""
    alone_NE = np.take_along_axis(outcomes.alone_NB, outcomes.seen_donor_NE, 1)
    object_N = object_log_odds(outcomes.seen_NE, alone_NE)
    forecast_NB = _sigmoid(object_N[:, None] + log_odds(outcomes.alone_NB))
    mean_N: np.ndarray = forecast_NB.mean(1)
    return mean_N


def trust_in_forecast(outcomes: Outcomes) -> float:
    """The weight of the forecast beside the mean that tells exchanges left out best, 0 to 1.

    Least squares over all exchanges, each told by the others of its image.
    """
    alone_NE = np.take_along_axis(outcomes.alone_NB, outcomes.seen_donor_NE, 1)
    by_mean, by_forecast = [], []
    for left_out in range(outcomes.seen_NE.shape[1]):
        seen_Ne, alone_Ne = (
            np.delete(column, left_out, 1) for column in (outcomes.seen_NE, alone_NE)
        )
        object_N = object_log_odds(seen_Ne, alone_Ne)
        by_mean.append(seen_Ne.mean(1))
        by_forecast.append(_sigmoid(object_N + log_odds(alone_NE[:, left_out])))
    mean_NE, forecast_NE = np.stack(by_mean, 1), np.stack(by_forecast, 1)
    added_NE = forecast_NE - mean_NE
    best = (added_NE * (outcomes.seen_NE - mean_NE)).sum() / max((added_NE**2).sum(), 1e-12)
    return float(np.clip(best, 0, 1))


def scores_of(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """By name, the larger the more on the background."""
    mean_N, forecast_N = kept_by_mean(outcomes), kept_by_forecast(outcomes)
    trust = trust_in_forecast(outcomes)
    own_N = outcomes.own_NM.mean(1)
    return {
        "mean of exchanges": 1 - mean_N,
        "additive forecast": 1 - forecast_N,
        "mean of both": 1 - (mean_N + forecast_N) / 2,
        "mixed by exchanges left out": 1 - (trust * forecast_N + (1 - trust) * mean_N),
        "changed, then lost": outcomes.seen_changed_NE.mean(1) + (1 - mean_N) / 2,
        "mean of log-odds": -log_odds(outcomes.seen_NE).mean(1),
        "lost against own backgrounds": own_N - mean_N,
        "low confidence": 1 - outcomes.confidence_N,
    }


@dataclass(frozen=True, eq=False)
class Flags:
    """What the null of moved own backgrounds makes of a score."""

    decided_N: np.ndarray
    flagged_N: np.ndarray
    by_null_N: np.ndarray


def flag(outcomes: Outcomes) -> Flags:
    """By the mean of as many exchanges as there are moves, so that both vary alike.

    Photographs that mostly change when they are put on their own background are undecided.
    """
    decided_N = outcomes.own_changed_NM.mean(1) <= MOST_OWN_CHANGES
    score_N = 1 - outcomes.seen_NE[:, : outcomes.own_NM.shape[1]].mean(1)
    null_N = 1 - outcomes.own_NM[:, : outcomes.seen_NE.shape[1]].mean(1)
    threshold = threshold_of(null_N[decided_N], FALSE_ALARM)
    if threshold is None:
        threshold = np.inf
    return Flags(decided_N, decided_N & (score_N > threshold), decided_N & (null_N > threshold))


def thirds(area_N: np.ndarray) -> np.ndarray:
    """0, 1 or 2: the third of the area, as many photographs in each."""
    rank_N = np.argsort(np.argsort(area_N, kind="stable"), kind="stable")
    third_N: np.ndarray = rank_N * 3 // len(area_N)
    return third_N


def _sigmoid(value: np.ndarray) -> np.ndarray:
    odds: np.ndarray = 1 / (1 + np.exp(-value))
    return odds
