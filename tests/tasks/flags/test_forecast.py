"""Forecasts are trusted as far as they tell exchanges that they did not see."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.flags.exchanges import Exchanges
from tasks.flags.forecast import CLOSEST, FLOOR, Trial, log_odds, try_forecast

IMAGES, DONORS, SEEN = 60, 40, 4
CHANCE = np.random.default_rng(0)
ALONE_N = CHANCE.uniform(0.05, 0.95, DONORS)
DRAWN_BE = np.stack([CHANCE.permutation(DONORS)[:SEEN] for _ in range(IMAGES)])
BROUGHT_B1 = CHANCE.normal(0, 2, (IMAGES, 1))
VOTES = DonorPredictions(
    index={f"donor {number}": number for number in range(DONORS)},
    content_N=np.array([f"of {number}" for number in range(DONORS)], object),
    prediction_N=(ALONE_N < 0.5).astype(int),
    probability_NK=np.stack([ALONE_N, 1 - ALONE_N], 1),
)
ADDITIVE_BE = 1 / (1 + np.exp(-(BROUGHT_B1 + log_odds(ALONE_N[DRAWN_BE]))))
OWN_BE = np.repeat(1 / (1 + np.exp(-BROUGHT_B1)), SEEN, 1) + CHANCE.normal(0, 0.01, (IMAGES, SEEN))


def trial_of(held_BE: np.ndarray, rows: slice = slice(None)) -> Trial:
    """All of class 0."""
    donors = [[f"donor {number}" for number in drawn_E] for drawn_E in DRAWN_BE[rows]]
    table = pa.table({"donors": donors, "exchanged": held_BE[rows].tolist()})
    class_B = np.zeros(len(table), np.int64)
    return try_forecast(class_B, VOTES, Exchanges.of(table, class_B, VOTES))


def test_forecasts_are_trusted_where_log_odds_add_up() -> None:
    assert trial_of(ADDITIVE_BE).trust == pytest.approx(1)


def test_means_are_trusted_where_backgrounds_do_not_matter() -> None:
    assert trial_of(OWN_BE.clip(0.01, 0.99)).trust < 0.05


def test_half_of_each_is_trusted_by_half() -> None:
    held_BE = np.where(np.arange(IMAGES)[:, None] % 2, ADDITIVE_BE, OWN_BE.clip(0.01, 0.99))
    assert 0.2 < trial_of(held_BE).trust < 0.8


def test_the_trust_is_that_of_least_squares() -> None:
    """Derived again with loops."""
    held_BE = CHANCE.uniform(0, 1, (IMAGES, SEEN)) * 0.5 + ADDITIVE_BE * 0.5
    explained = spread = 0.0
    for held_E, drawn_E in zip(held_BE, DRAWN_BE, strict=True):
        for left_out in range(SEEN):
            rest = [number for number in range(SEEN) if number != left_out]
            mean = sum(held_E[rest]) / len(rest)
            weights = [held_E[number] * (1 - held_E[number]) + FLOOR for number in rest]
            added = [
                log_odds(held_E[number]) - log_odds(ALONE_N[drawn_E[number]]) for number in rest
            ]
            brought = np.average(added, weights=weights)
            logit = brought + log_odds(ALONE_N[drawn_E[left_out]])
            told = 1 / (1 + math.exp(-logit))
            explained += (told - mean) * (held_E[left_out] - mean)
            spread += (told - mean) ** 2
    assert trial_of(held_BE).trust == pytest.approx(explained / spread)


def test_shards_add_up() -> None:
    parts = trial_of(ADDITIVE_BE, slice(0, 20)) + trial_of(ADDITIVE_BE, slice(20, None))
    whole = trial_of(ADDITIVE_BE)
    assert parts.explained == pytest.approx(whole.explained)
    assert parts.spread == pytest.approx(whole.spread)


def test_one_exchange_tries_nothing() -> None:
    """There is none beside it; each is taken by half."""
    table = pa.table({"donors": [["donor 0"], []], "exchanged": [[0.3], []]})
    table = table.cast(
        pa.schema({"donors": pa.list_(pa.string()), "exchanged": pa.list_(pa.float32())})
    )
    class_B = np.zeros(2, np.int64)
    trial = try_forecast(class_B, VOTES, Exchanges.of(table, class_B, VOTES))
    assert trial == Trial()
    assert trial.trust == 0.5


def test_certain_probabilities_stay_finite() -> None:
    lowest = math.log(CLOSEST / (1 - CLOSEST))
    assert log_odds(np.array([0.0, 1.0])).tolist() == pytest.approx([lowest, -lowest])
