"""What predictions would keep on the backgrounds of all donors, and how far that can be trusted.

Evidence nearly adds up in the log-odds of the predicted class: on a donor's background they are
the object's contribution plus that of the background alone. The object's contribution, `e`, is
measured on the few backgrounds it was put on:

    e(i) = weighted mean over its donors d of  logodds p(i on d) - logodds v(d)
    forecast(i) = mean over donors d predicted otherwise than i of  sigmoid(e(i) + logodds v(d))

v(d) is the probability of i's class for donor d's background alone; an exchange is weighted by
p (1 - p) + 0.05, since odds far from even are known least. Where no donor is predicted otherwise,
all count: nothing is undecided for want of donors. How nearly evidence adds up differs: with
strong shortcuts of few classes forecasts beat the mean of the exchanges, on photographs the mean
beats them. So each exchange is told from the others of its image in both ways, and what tells all
of an audit best is trusted. Shapes: B images, N donors, E exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.flags.exchanges import Exchanges

CLOSEST = 1e-4  # probabilities closer to 0 or 1 are clipped to this: softmax resolves no more
FLOOR = 0.05  # of an exchange's weight


@dataclass(frozen=True)
class Trial:
    """Exchanges told from the others of their image: sums of least squares, which add up."""

    explained: float = 0.0  # (forecast - mean) (exchange - mean)
    spread: float = 0.0  # (forecast - mean)^2

    def __add__(self, other: Trial) -> Trial:
        return Trial(self.explained + other.explained, self.spread + other.spread)

    @property
    def trust(self) -> float:
        """The weight of the forecast beside the mean, 0 to 1; a half where nothing was tried."""
        if not self.spread:
            return 0.5
        return min(1.0, max(0.0, self.explained / self.spread))


def try_forecast(class_B: np.ndarray, donors: DonorPredictions, exchanges: Exchanges) -> Trial:
    """On the exchanges of some images, each left out in turn."""
    image_E, p_E = exchanges.image_E, exchanges.probability_E
    alone_E = _alone(class_B, donors, exchanges)
    weight_E, object_E = _contributions(exchanges, alone_E)
    others_E = exchanges.counts(exchanges.known_E)[image_E] - 1
    tried_E = exchanges.known_E & (others_E > 0)
    mean_E = _rest(p_E * exchanges.known_E, image_E) / np.maximum(others_E, 1)
    rest_E = _rest(weight_E, image_E)
    brought_E = _rest(weight_E * object_E, image_E) / np.maximum(rest_E, FLOOR)
    added_e = (sigmoid(brought_E + alone_E) - mean_E)[tried_E]
    return Trial(float((added_e * (p_E - mean_E)[tried_E]).sum()), float((added_e**2).sum()))


def forecast_all(
    content_B: pa.ChunkedArray, class_B: np.ndarray, donors: DonorPredictions, exchanges: Exchanges
) -> np.ndarray:
    """(B,): the mean probability over all donors; NaN without an exchange or a donor."""
    background_BN = log_odds(donors.probability_NK[:, class_B].T)
    own_BN = np.array(content_B.to_pylist())[:, None] == donors.content_N[None]
    usable_BN = ~own_BN & donors.is_known_N
    other_BN = usable_BN & (donors.prediction_N[None] != class_B[:, None])
    chosen_BN = np.where(other_BN.any(1, keepdims=True), other_BN, usable_BN)
    weight_E, object_E = _contributions(exchanges, _alone(class_B, donors, exchanges))
    object_B = _weighted_mean(object_E, weight_E, exchanges)
    probability_BN = sigmoid(object_B[:, None] + background_BN)
    total_B = np.where(chosen_BN, probability_BN, 0).sum(1)
    return np.where(chosen_BN.any(1), total_B / np.maximum(chosen_BN.sum(1), 1), np.nan)


def log_odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability.astype(np.float64), CLOSEST, 1 - CLOSEST)
    logit: np.ndarray = np.log(clipped / (1 - clipped))
    return logit


def sigmoid(logit: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-logit))
    return probability


def _alone(class_B: np.ndarray, donors: DonorPredictions, exchanges: Exchanges) -> np.ndarray:
    """Log-odds of each exchange's background alone; 0 where it could not be predicted."""
    probability_E = donors.probability_NK[exchanges.donor_E, class_B[exchanges.image_E]]
    alone_E: np.ndarray = np.nan_to_num(log_odds(probability_E))
    return alone_E


def _contributions(exchanges: Exchanges, alone_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weight of each exchange, and what the object contributes to it."""
    p_E = exchanges.probability_E
    return (p_E * (1 - p_E) + FLOOR) * exchanges.known_E, log_odds(p_E) - alone_E


def _weighted_mean(value_E: np.ndarray, weight_E: np.ndarray, exchanges: Exchanges) -> np.ndarray:
    """(B,); NaN of images without a known exchange."""
    weight_B = np.bincount(exchanges.image_E, weight_E, exchanges.images)
    total_B = np.bincount(exchanges.image_E, weight_E * value_E, exchanges.images)
    return np.where(weight_B > 0, total_B / np.maximum(weight_B, FLOOR), np.nan)


def _rest(value_E: np.ndarray, image_E: np.ndarray) -> np.ndarray:
    """Of each exchange: the sum over the others of its image."""
    rest_E: np.ndarray = np.bincount(image_E, value_E)[image_E] - value_E
    return rest_E
