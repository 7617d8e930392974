"""The bootstrap against loops over drawn images, and how often its intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.intervals import bootstrap
from tasks.intervals.bootstrap import (
    DRAWS,
    SEED,
    UNITS,
    Draws,
    bootstrap_mean,
    bootstrap_means,
    change_of_means,
    mean_of_known,
    percentile_interval,
)

SIZES = (1, 7, 90, 300)
TRIALS = 200


@pytest.fixture(params=["every image", "blocks of images"])
def draws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Draws:
    """Of 90 images: drawn by themselves, or in 40 blocks of two or three."""
    monkeypatch.setattr(bootstrap, "UNITS", 40 if request.param == "blocks of images" else UNITS)
    return Draws.of(90)


def slow_draws(images: int) -> list[np.ndarray]:
    """The same draws, one after the other."""
    return list(np.random.default_rng(SEED).integers(images, size=(DRAWS, images)))


@pytest.mark.parametrize("images", SIZES)
def test_a_draw_is_so_many_images_with_replacement(images: int) -> None:
    draws = Draws.of(images)
    for image_n, drawn_n in zip(draws.images(), slow_draws(images), strict=True):
        assert image_n.tolist() == sorted(drawn_n.tolist())
    assert (draws.sums(np.ones(images)) == images).all()


def test_as_many_images_are_always_drawn_alike(draws: Draws) -> None:
    assert np.array_equal(draws.count_RU, Draws.of(90).count_RU)
    assert np.array_equal(draws.unit_N, Draws.of(90).unit_N)


def test_draws_made_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Draws.of(90)
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * 90)
    assert np.array_equal(whole.count_RU, Draws.of(90).count_RU)
    value_N = np.random.default_rng(0).random(90)
    rank_R = np.full(DRAWS, 70.0)
    assert np.array_equal(
        whole.order_statistics(value_N, rank_R), Draws.of(90).order_statistics(value_N, rank_R)
    )


def test_no_images_have_draws_of_nothing() -> None:
    draws = Draws.of(0)
    assert np.isnan(draws.means(np.zeros(0))).all()
    assert mean_of_known(np.zeros(0), draws) is None
    assert bootstrap_means(np.zeros((0, 3))) == [None] * 3


def test_means_of_draws_leave_out_what_is_missing() -> None:
    value_N = np.array([1.0, np.nan, 3.0])
    count_RU = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    drawn_R = Draws(count_RU, np.arange(3)).means(value_N)
    np.testing.assert_allclose(drawn_R, [2.0, 1.0, np.nan])


def test_figures_of_draws_are_those_of_a_loop(draws: Draws) -> None:
    """With equal values, too; thresholds and ranks that differ from draw to draw."""
    random = np.random.default_rng(1)
    value_N = np.round(random.random(90), 1)
    rank_R = random.integers(1, 60, DRAWS).astype(float)
    threshold_R = random.random(DRAWS)
    found = zip(
        draws.images(),
        draws.means(value_N),
        draws.order_statistics(value_N, rank_R),
        draws.counts_above(value_N, threshold_R),
        strict=True,
    )
    for draw, (image_n, mean, ranked, above) in enumerate(found):
        drawn_n = value_N[image_n]
        assert mean == pytest.approx(drawn_n.mean())
        assert ranked == sorted(drawn_n)[int(rank_R[draw]) - 1]
        assert above == sum(drawn_n > threshold_R[draw])


def test_the_interval_of_a_changed_mean_is_that_of_a_loop() -> None:
    right_n2 = (np.random.default_rng(3).random((90, 2)) < [0.5, 0.7]).astype(float)
    changes = [right_n2[drawn, 1].mean() - right_n2[drawn, 0].mean() for drawn in slow_draws(90)]
    found = change_of_means(right_n2)
    assert (found.low, found.high) == pytest.approx(np.quantile(changes, [0.025, 0.975]))


def test_a_surer_interval_is_wider() -> None:
    value_N = np.random.default_rng(3).random(90)
    usual, surer = bootstrap_mean(value_N), bootstrap_mean(value_N, 0.9999)
    assert surer.low < usual.low < usual.high < surer.high


@pytest.mark.parametrize("images", [20, 90, UNITS + 1000])
def test_a_mean_of_constants_has_no_width(images: int) -> None:
    (mean,) = bootstrap_means(np.full((images, 1), 0.3))
    assert mean is not None
    assert mean.of == images
    assert (mean.value, mean.low, mean.high) == pytest.approx([0.3] * 3, abs=1e-12)


def test_the_interval_holds_its_value_even_where_the_draws_do_not() -> None:
    low, high = percentile_interval(0.5, np.linspace(0.6, 0.7, 100))
    assert (low, high) == pytest.approx((0.5, 0.6975))


@pytest.mark.parametrize("images", [200, UNITS + 1000])
def test_the_order_of_images_moves_the_ends_as_little_as_other_draws_do(images: int) -> None:
    value_N = np.random.default_rng(5).gamma(2, 1, images)
    error = value_N.std() / images**0.5
    ends = [bootstrap_mean(it) for it in (value_N, value_N[::-1], np.sort(value_N))]
    for end in ends:
        assert end.low == pytest.approx(value_N.mean() - 1.96 * error, abs=0.25 * error)
        assert end.high == pytest.approx(value_N.mean() + 1.96 * error, abs=0.25 * error)


@pytest.mark.parametrize("images", [60, UNITS + 500])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(images: int) -> None:
    draws = Draws.of(images)
    random = np.random.default_rng(11)
    held = []
    for _ in range(TRIALS):
        mean = mean_of_known(random.gamma(4, 0.25, images), draws)
        assert mean is not None
        held.append(mean.low <= 1.0 <= mean.high)
    assert 0.90 <= np.mean(held) <= 0.99
