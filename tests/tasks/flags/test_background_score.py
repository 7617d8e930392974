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
from tasks.flags.background_score import Scores, threshold_of
from tasks.flags.background_score import score_images as score_images_trusting
from tasks.flags.forecast import FLOOR

DONORS = ("a", "b", "c", "d")
VOTES = DonorPredictions(
    index={name: index for index, name in enumerate(DONORS)},
    content_N=np.array(["of a", "of b", "of c", "of d"], object),
    prediction_N=np.array([0, 0, 1, 1]),
    probability_NK=np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]], np.float32),
)


def images(
    *rows: tuple[list[str], list[float]],
    moved: list[list[float]] | None = None,
    removal: float = 0.2,
) -> pa.Table:
    """Donors and probabilities on them; on the own background, moved twice, .9 and .7."""
    moved = [[0.9, 0.7]] * len(rows) if moved is None else moved
    return pa.table(
        {
            "content_id": pa.array(["its own"] * len(rows), pa.string()),
            "donors": pa.array([donors for donors, _ in rows], pa.list_(pa.string())),
            "exchanged": pa.array([held for _, held in rows], pa.list_(pa.float32())),
            "moved": pa.array(moved, pa.list_(pa.float32())),
            "flips_own": pa.array([0.5 if held else None for held in moved], pa.float32()),
            "reliance_removal": pa.array([removal] * len(rows), pa.float32()),
            "share": pa.array([0.4] * len(rows), pa.float32()),
        }
    )


def score_images(
    interventions: pa.Table, class_B: np.ndarray, donors: DonorPredictions, trust: float = 0.5
) -> Scores:
    """With a trust in the forecast."""
    return score_images_trusting(interventions, class_B, donors, trust)


def odds(p: float) -> float:
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def object_of(held: dict[str, float]) -> float:
    """Its contribution, derived again with loops."""
    weights = {name: p * (1 - p) + FLOOR for name, p in held.items()}
    vote = dict(zip(DONORS, (0.9, 0.7, 0.2, 0.4), strict=True))
    total = sum(weights[name] * (odds(p) - odds(vote[name])) for name, p in held.items())
    return total / sum(weights.values())


@pytest.mark.parametrize("trust", [0, 0.3, 1])
def test_the_score_is_its_formula(trust: float) -> None:
    """One image of class 0, on donors a and c, of which c and d are predicted otherwise."""
    brought = object_of({"a": 0.95, "c": 0.3})
    forecast = (sigmoid(brought + odds(0.2)) + sigmoid(brought + odds(0.4))) / 2
    kept = trust * forecast + (1 - trust) * 0.3
    found = score_images(images((["a", "c"], [0.95, 0.3])), np.array([0]), VOTES, trust)
    assert found.kept_B[0] == pytest.approx(kept, abs=1e-6)
    assert found.null_kept_B[0] == pytest.approx(0.9, abs=1e-6)  # as many moves as such exchanges
    assert found.score_B[0] == pytest.approx((4 * (1 - kept) + 0.6 + 0.6) / 6, abs=1e-6)
    assert found.null_score_B[0] == pytest.approx((4 * (1 - 0.9) + 0.6 + 0.6) / 6, abs=1e-6)
    assert (found.moves_B[0], found.own_changes_B[0]) == (2, 1)


@pytest.mark.parametrize(
    ("donors", "moves", "measured", "null"),
    [
        (["c", "d", "c"], 2, 0.35, 0.8),
        (["c", "d", "c"], 1, 0.3, 0.9),
        (["a", "d", "c"], 2, 0.45, 0.8),
        (["a", "b", "d"], 2, 0.5, 0.9),
        (["a", "b"], 2, 0.35, 0.8),  # where no donor is predicted otherwise, all count
        (["c", "d", "c"], 0, 0.4, math.nan),
    ],
)
def test_as_many_exchanges_count_as_moves(
    donors: list[str], moves: int, measured: float, null: float
) -> None:
    """Means over fewer draws have wider tails."""
    held = [0.3, 0.4, 0.5][: len(donors)]
    table = images((donors, held), moved=[[0.9, 0.7][:moves]])
    even = replace(VOTES, probability_NK=np.full((4, 2), 0.5, np.float32))
    found = score_images(table, np.array([0]), even)
    object_alone = sigmoid(
        sum((p * (1 - p) + FLOOR) * odds(p) for p in held) / sum(p * (1 - p) + FLOOR for p in held)
    )
    assert found.kept_B[0] == pytest.approx((object_alone + measured) / 2, abs=1e-6)
    assert found.null_kept_B[0] == pytest.approx(null, abs=1e-6, nan_ok=True)


def test_an_additive_model_is_foretold_exactly() -> None:
    """Where log-odds do add up, one exchange tells the mean over all donors."""
    held = [sigmoid(0.8 + odds(p)) for p in (0.9, 0.7, 0.2, 0.4)]
    one = score_images(images((["c"], [held[2]])), np.array([0]), VOTES, trust=1)
    assert one.kept_B[0] == pytest.approx((held[2] + held[3]) / 2, abs=1e-6)


def test_no_score_without_an_exchange() -> None:
    assert math.isnan(score_images(images(([], [])), np.array([0]), VOTES).score_B[0])


@pytest.mark.parametrize("prediction", [0, 1])
def test_nothing_is_undecided_for_want_of_donors(prediction: int) -> None:
    """Where all are predicted alike, all count: as the image is, and otherwise."""
    all_alike = replace(VOTES, prediction_N=np.full(4, prediction))
    found = score_images(images((["a"], [0.5])), np.array([0]), all_alike)
    brought = object_of({"a": 0.5})
    forecast = np.mean([sigmoid(brought + odds(p)) for p in (0.9, 0.7, 0.2, 0.4)])
    assert found.kept_B[0] == pytest.approx((forecast + 0.5) / 2, abs=1e-6)
    assert found.null_kept_B[0] == pytest.approx(0.9)


def test_an_image_is_never_its_own_donor() -> None:
    own = images((["a", "c"], [0.95, 0.3])).set_column(0, "content_id", pa.array(["of c"]))
    found = score_images(own, np.array([0]), VOTES)
    forecast = sigmoid(object_of({"a": 0.95, "c": 0.3}) + odds(0.4))
    assert found.kept_B[0] == pytest.approx((forecast + 0.3) / 2, abs=1e-6)


@given(st.integers(0, 6), st.integers(0, 6))
def test_an_image_that_most_moves_change_is_pasted_poorly(moves: int, changes: int) -> None:
    one = score_images(images((["c"], [0.3])), np.array([0]), VOTES)
    found = replace(one, moves_B=np.array([float(moves)]), own_changes_B=np.array([float(changes)]))
    assert found.pasted_poorly_B[0] == (2 * changes > moves)


@pytest.mark.parametrize("others", [2, 5])
def test_where_backgrounds_are_of_no_consequence_about_5_percent_are_flagged(others: int) -> None:
    """Pasting alone changes probabilities, alike on the own and on other backgrounds."""
    generator = np.random.default_rng(others)
    brought_B = generator.normal(3, 2, 3000)
    held_BS = 1 / (1 + np.exp(-(brought_B[:, None] + generator.normal(0, 1, (3000, 2 + others)))))
    even = replace(VOTES, probability_NK=np.full((4, 2), 0.5, np.float32))
    rows = [(["c", "d", "c", "d", "c"][:others], held_S[2:].tolist()) for held_S in held_BS]
    moved = [held_S[:2].tolist() for held_S in held_BS]
    found = score_images(images(*rows, moved=moved), np.zeros(3000, np.int64), even)
    threshold = threshold_of(found.null_score_B, 0.05)
    assert threshold is not None
    assert 0.02 < np.mean(found.score_B > threshold) < 0.08


def test_images_do_not_mix() -> None:
    rows = [(["a", "c"], [0.9, 0.2]), ([], []), (["d"], [0.6])]
    place_B = np.array([0, 1, 1])
    together = score_images(images(*rows), place_B, VOTES).score_B
    alone = [
        score_images(images(row), place_B[[number]], VOTES).score_B[0]
        for number, row in enumerate(rows)
    ]
    np.testing.assert_allclose(together, alone)


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
