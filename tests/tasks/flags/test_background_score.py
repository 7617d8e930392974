"""The score is its formula, image by image; the null is what it says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.attribution.donor_predictions import DonorPredictions
from tasks.flags.background_score import CLOSEST, FLOOR, log_odds, score_images, threshold_of

DONORS = ("a", "b", "c", "d")
VOTES = DonorPredictions(
    index={name: index for index, name in enumerate(DONORS)},
    content_N=np.array(["of a", "of b", "of c", "of d"], object),
    prediction_N=np.array([0, 0, 1, 1]),
    probability_NK=np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]], np.float32),
)


def images(*rows: tuple[list[str], list[float]], removal: float = 0.2) -> pa.Table:
    return pa.table(
        {
            "content_id": pa.array(["its own"] * len(rows), pa.string()),
            "donors": pa.array([donors for donors, _ in rows], pa.list_(pa.string())),
            "exchanged": pa.array([held for _, held in rows], pa.list_(pa.float32())),
            "reliance_removal": pa.array([removal] * len(rows), pa.float32()),
            "share": pa.array([0.4] * len(rows), pa.float32()),
        }
    )


def odds(p: float) -> float:
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_score_is_its_formula() -> None:
    """One image of class 0, on donors a and c, derived again with loops."""
    held = {"a": 0.95, "c": 0.3}
    weights = {name: p * (1 - p) + FLOOR for name, p in held.items()}
    vote = dict(zip(DONORS, (0.9, 0.7, 0.2, 0.4), strict=True))
    brought = sum(weights[name] * (odds(p) - odds(vote[name])) for name, p in held.items()) / sum(
        weights.values()
    )
    kept = (sigmoid(brought + odds(0.2)) + sigmoid(brought + odds(0.4))) / 2
    null = (sigmoid(brought + odds(0.9)) + sigmoid(brought + odds(0.7))) / 2
    found = score_images(images((["a", "c"], [0.95, 0.3])), np.array([0]), VOTES)
    assert found.kept_B[0] == pytest.approx(kept, abs=1e-6)
    assert found.null_kept_B[0] == pytest.approx(null, abs=1e-6)
    assert found.score_B[0] == pytest.approx((4 * (1 - kept) + 0.6 + 0.6) / 6, abs=1e-6)
    assert found.null_score_B[0] == pytest.approx((4 * (1 - null) + 0.6 + 0.6) / 6, abs=1e-6)


def test_an_additive_model_is_foretold_exactly() -> None:
    """Where log-odds do add up, one exchange tells the mean over all donors."""
    held = [sigmoid(0.8 + odds(p)) for p in (0.9, 0.7, 0.2, 0.4)]
    one = score_images(images((["b"], [held[1]])), np.array([0]), VOTES)
    assert one.kept_B[0] == pytest.approx((held[2] + held[3]) / 2, abs=1e-6)


def test_no_score_without_an_exchange_or_a_donor_of_either_kind() -> None:
    assert math.isnan(score_images(images(([], [])), np.array([0]), VOTES).score_B[0])
    for prediction in (0, 1):
        all_alike = replace(VOTES, prediction_N=np.full(4, prediction))
        found = score_images(images((["a"], [0.5])), np.array([0]), all_alike)
        assert math.isnan(found.score_B[0])
        assert math.isnan(found.null_score_B[0])


def test_both_scores_take_as_many_donors_and_never_the_picture_itself() -> None:
    """With one donor left that is predicted alike, one of the others is taken, too."""
    own = images((["a", "c"], [0.95, 0.3])).set_column(0, "content_id", pa.array(["of b"]))
    found = score_images(own, np.array([0]), VOTES)
    whole = score_images(images((["a", "c"], [0.95, 0.3])), np.array([0]), VOTES)
    assert found.null_kept_B[0] > whole.null_kept_B[0]  # a's background alone, the more telling
    assert found.kept_B[0] != pytest.approx(whole.kept_B[0], abs=1e-3)


@pytest.mark.parametrize("alike", [12, 60])
def test_where_backgrounds_are_of_no_consequence_few_donors_raise_no_alarms(alike: int) -> None:
    """Backgrounds that say something, but the same of donors of every prediction."""
    generator = np.random.default_rng(alike)
    images_B, donors = 3000, 120
    predicted = np.where(np.arange(donors) < alike, 0, 1)
    said = 1 / (1 + np.exp(-generator.normal(0, 1.5, donors)))
    names = [str(number) for number in range(donors)]
    votes = DonorPredictions(
        {name: index for index, name in enumerate(names)},
        np.array(names, object),
        predicted,
        np.stack([said, 1 - said], 1),
    )
    rows = []
    for _ in range(images_B):
        chosen = generator.choice(donors, 4, replace=False)
        brought = generator.normal(2, 1.5)
        rows.append(
            ([names[d] for d in chosen], [sigmoid(brought + odds(said[d])) for d in chosen])
        )
    found = score_images(images(*rows), np.zeros(images_B, np.int64), votes)
    threshold = threshold_of(found.null_score_B, 0.05)
    assert threshold is not None
    assert abs(np.mean(found.score_B > threshold) - 0.05) < LOOSE[alike]


LOOSE = {12: 0.06, 60: 0.03}  # all images share the donors, which are few


def test_images_do_not_mix() -> None:
    rows = [(["a", "c"], [0.9, 0.2]), ([], []), (["d"], [0.6])]
    place_B = np.array([0, 1, 1])
    together = score_images(images(*rows), place_B, VOTES).score_B
    alone = [
        score_images(images(row), place_B[[number]], VOTES).score_B[0]
        for number, row in enumerate(rows)
    ]
    np.testing.assert_allclose(together, alone)


def test_certain_probabilities_stay_finite() -> None:
    assert log_odds(np.array([0.0, 1.0])).tolist() == pytest.approx(
        [odds(CLOSEST), odds(1 - CLOSEST)]
    )


def test_the_threshold_keeps_its_rate_for_any_number_of_images() -> None:
    """Conformal: one more image of the null exceeds it with at most the stated probability."""
    generator = np.random.default_rng(0)
    for count in (19, 40, 300):
        exceeded = [
            draw[-1] > (threshold_of(draw[:-1], 0.05) or math.inf)
            for draw in generator.random((4000, count + 1))
        ]
        assert np.mean(exceeded) == pytest.approx(0.05, abs=0.012)


def test_too_few_images_have_no_threshold() -> None:
    assert threshold_of(np.arange(18.0), 0.05) is None
    assert threshold_of(np.arange(19.0), 0.05) == 18.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.49))
def test_the_null_exceeds_the_threshold_no_more_often_than_said(
    scores: list[float], rate: float
) -> None:
    threshold = threshold_of(np.array(scores), rate)
    if threshold is not None:
        assert np.mean(np.array(scores) > threshold) <= rate


def test_a_donor_that_could_not_be_predicted_says_nothing() -> None:
    """Its row is NaN, as where a user's network raised; the others give the same score."""
    names = [*VOTES.index, "broken"]
    votes = DonorPredictions(
        {name: number for number, name in enumerate(names)},
        np.array([*VOTES.content_N, "broken"], object),
        np.array([*VOTES.prediction_N, 0]),
        np.concatenate([VOTES.probability_NK, np.full((1, VOTES.probability_NK.shape[1]), np.nan)]),
    )
    rows, place_B = images((["a", "c"], [0.9, 0.2]), (["d"], [0.6])), np.array([0, 1])
    found, expected = score_images(rows, place_B, votes), score_images(rows, place_B, VOTES)
    np.testing.assert_array_equal(found.score_B, expected.score_B)
    exchanged = images((["a", "broken"], [0.9, 0.2]))
    alone = images((["a"], [0.9]))
    np.testing.assert_array_equal(
        score_images(exchanged, place_B[:1], votes).score_B,
        score_images(alone, place_B[:1], VOTES).score_B,
    )
