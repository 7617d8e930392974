"""Calibration is scipy's minimum of Platt's cross-entropy, and cautious where data is scarce."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from models.errors import UserError
from tasks.pictures.estimate_confidence import FEWEST, ConfidenceCalibration, fit_confidence

Pairs = list[tuple[float, float]]


def drawn(count: int, seed: int, slope: float = 6, intercept: float = -3) -> Pairs:
    """Estimates that are right with the probability of a logistic curve."""
    draw = np.random.default_rng(seed)
    confidence_N = draw.uniform(0, 1, count)
    is_right_N = draw.uniform(0, 1, count) < 1 / (1 + np.exp(-slope * confidence_N - intercept))
    return [
        (float(c), 0.8 if right else 0.2) for c, right in zip(confidence_N, is_right_N, strict=True)
    ]


def platt(pairs: Pairs) -> tuple[float, float]:
    """Platt's targets and cross-entropy, literally, minimised over slopes of at least 0."""
    right = sum(iou >= 0.5 for _, iou in pairs)
    wrong = len(pairs) - right

    def entropy(curve: np.ndarray) -> float:
        total = 0.0
        for confidence, iou in pairs:
            target = (right + 1) / (right + 2) if iou >= 0.5 else 1 / (wrong + 2)
            chance = 1 / (1 + np.exp(-(curve[0] * confidence + curve[1])))
            total -= target * np.log(chance) + (1 - target) * np.log(1 - chance)
        return float(total)

    found = minimize(entropy, [0, 0], bounds=[(0, None), (None, None)], tol=1e-12).x
    return float(found[0]), float(found[1])


@pytest.mark.parametrize("count", [20, 50, 400])
@pytest.mark.parametrize("slope", [10, 3, -3])
def test_the_curve_is_the_minimum_that_scipy_finds(count: int, slope: float) -> None:
    pairs = drawn(count, seed=count, slope=slope, intercept=-slope / 2)
    calibration, (theirs, at_zero) = fit_confidence(pairs), platt(pairs)
    assert calibration.slope == pytest.approx(theirs, abs=2e-3)
    assert calibration.intercept == pytest.approx(at_zero, abs=2e-3)
    assert calibration.pairs == count


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=FEWEST, max_size=60),
    st.floats(0.05, 0.95),
)
def test_any_pairs_give_a_curve_that_never_falls(pairs: Pairs, share: float) -> None:
    calibration = fit_confidence(pairs)
    probability_N = calibration.probability(np.linspace(0, 1, 50))
    assert np.isfinite(probability_N).all()
    assert (np.diff(probability_N) >= 0).all()
    assert 0 <= probability_N[0] <= probability_N[-1] <= 1
    least = calibration.least_confidence(share)
    if least is None:
        assert probability_N[-1] < share + 1e-9
    else:
        assert 0 <= least <= 1
        assert calibration.probability(least) >= share - 1e-9
        assert least == 0 or calibration.probability(least - 1e-3) < share


def test_many_pairs_recover_the_curve_they_were_drawn_from() -> None:
    calibration = fit_confidence(drawn(20_000, seed=1))
    true_N = 1 / (1 + np.exp(-6 * np.array([0.2, 0.5, 0.8]) + 3))
    np.testing.assert_allclose(calibration.probability([0.2, 0.5, 0.8]), true_N, atol=0.02)
    assert calibration.least_confidence(0.5) == pytest.approx(0.5, abs=0.02)


def test_confidence_that_ranks_backwards_carries_no_information() -> None:
    pairs = [(i / 39, 0.9 if i < 20 else 0.1) for i in range(40)]
    calibration = fit_confidence(pairs)
    assert calibration.slope == 0
    np.testing.assert_allclose(calibration.probability([0, 1]), 0.5)
    assert calibration.least_confidence(0.9) is None
    assert calibration.least_confidence(0.4) == 0


def test_one_confidence_for_all_gives_their_share() -> None:
    calibration = fit_confidence([(0.7, 0.9)] * 15 + [(0.7, 0.1)] * 5)
    target = (15 * 16 / 17 + 5 / 7) / 20
    assert calibration.slope == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(calibration.probability([0.1, 0.7]), target, atol=1e-6)


def test_few_pairs_that_are_all_right_are_not_certain() -> None:
    calibration = fit_confidence([(i / 19, 0.9) for i in range(20)])
    np.testing.assert_allclose(calibration.probability([0, 0.5, 1]), 21 / 22, atol=1e-6)
    assert calibration.least_confidence(0.9) == 0
    assert calibration.least_confidence(0.99) is None


def test_pairs_that_a_threshold_separates_do_not_diverge() -> None:
    calibration = fit_confidence([(i / 19, 0.9 if i >= 10 else 0.1) for i in range(20)])
    assert np.isfinite(calibration.slope)
    assert calibration.probability(1) < 0.999
    assert calibration.least_confidence(0.5) == pytest.approx(0.5, abs=0.01)


def test_an_iou_of_exactly_one_half_is_right() -> None:
    assert fit_confidence([(0.5, 0.5)] * 20).probability(0.5) > 0.9


def test_too_few_pairs_are_refused_in_one_line() -> None:
    with pytest.raises(UserError) as caught:
        fit_confidence(drawn(19, seed=0))
    assert str(caught.value) == (
        "19 annotated pictures are too few to judge estimates by: annotate at least 20"
    )


def test_the_least_confidence_is_where_the_curve_reaches_the_share() -> None:
    assert ConfidenceCalibration(slope=4, intercept=-2, pairs=20).least_confidence(0.5) == 0.5
