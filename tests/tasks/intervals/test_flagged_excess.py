"""The excess of each draw is that of a loop which finds the threshold again."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.flags.background_score import threshold_of
from tasks.intervals import bootstrap
from tasks.intervals.bootstrap import UNITS, Draws
from tasks.intervals.flagged_excess import bootstrap_excess, change_of_excess

IMAGES = 120
NULL_N2 = np.round(np.random.default_rng(0).random((IMAGES, 2)), 2)
SCORE_N2 = NULL_N2 + np.random.default_rng(1).normal(0.1, 0.1, (IMAGES, 2))


def excess_by_hand(score_n: np.ndarray, null_n: np.ndarray) -> float:
    threshold = threshold_of(null_n, 0.05)
    assert threshold is not None
    return float((score_n > threshold).mean() - (null_n > threshold).mean())


@pytest.fixture(params=[UNITS, 50])
def slow_R2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Each image drawn by itself, or in blocks of two or three."""
    monkeypatch.setattr(bootstrap, "UNITS", request.param)
    return np.array(
        [
            [excess_by_hand(SCORE_N2[image_n, side], NULL_N2[image_n, side]) for side in (0, 1)]
            for image_n in Draws.of(IMAGES).images()
        ]
    )


def test_the_thresholds_are_found_again_in_each_draw(slow_R2: np.ndarray) -> None:
    drawn_R = slow_R2[:, 1] - slow_R2[:, 0]
    value = float(np.median(drawn_R))
    found = change_of_excess(SCORE_N2, NULL_N2, 0.05, value)
    assert found.value == value
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn_R, [0.025, 0.975]))


def test_one_models_excess_has_its_interval(slow_R2: np.ndarray) -> None:
    value = float(np.median(slow_R2[:, 0]))
    found = bootstrap_excess(SCORE_N2[:, 0], NULL_N2[:, 0], 0.05, value)
    assert (found.low, found.high) == pytest.approx(np.quantile(slow_R2[:, 0], [0.025, 0.975]))


def test_too_few_images_for_a_threshold_are_never_exceeded() -> None:
    """In 10 images no score is one that 5% of the null exceed."""
    found = bootstrap_excess(NULL_N2[:10, 0], NULL_N2[:10, 0], 0.05, 0.0)
    assert (found.low, found.high) == (0, 0)


def test_without_an_effect_the_interval_holds_no_excess_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(2), []
    for _ in range(100):
        score_n, null_n = random.random((2, 200))
        found = bootstrap_excess(score_n, null_n, 0.05, excess_by_hand(score_n, null_n))
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.89
