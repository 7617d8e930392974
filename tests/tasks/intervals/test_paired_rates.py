"""Changes of rates: Newcombe's formulas derived again, and whether they cover the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from tasks.intervals.paired_rates import (
    EXACT,
    Crossing,
    Rates,
    change_of_rate,
    fewest_that_differ,
    mcnemar_p,
)
from tasks.schema import wilson

COUNTS = st.integers(0, 300)


def rates(before: tuple[int, int], now: tuple[int, int], crossing: Crossing) -> Rates:
    return Rates(wilson(*before), wilson(*now), crossing)


def roots(count: int, of: int, z: float) -> tuple[float, float]:
    """Wilson 1927: where |p - count/of| = z sqrt(p (1 - p) / of)."""
    a, b, c = 1 + z * z / of, -2 * count / of - z * z / of, (count / of) ** 2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def independent(before: tuple[int, int], now: tuple[int, int], z: float) -> tuple[float, float]:
    """Newcombe 1998, Statistics in Medicine 17:873, method 10."""
    p, q = now[0] / now[1], before[0] / before[1]
    (low, high), (first_low, first_high) = roots(*now, z), roots(*before, z)
    return (
        p - q - math.sqrt((p - low) ** 2 + (first_high - q) ** 2),
        p - q + math.sqrt((high - p) ** 2 + (q - first_low) ** 2),
    )


def paired(a: int, b: int, c: int, d: int, z: float) -> tuple[float, float]:
    """Newcombe 1998, Statistics in Medicine 17:2635, method 10: theta = (a+b)/n - (a+c)/n."""
    n = a + b + c + d
    product = (a + b) * (c + d) * (a + c) * (b + d)
    lean = a * d - b * c
    corrected = max(lean - n / 2, 0) if lean > 0 else lean
    phi = corrected / math.sqrt(product) if product else 0.0
    p, q = (a + b) / n, (a + c) / n
    (low_p, high_p), (low_q, high_q) = roots(a + b, n, z), roots(a + c, n, z)
    dl2, du3 = p - low_p, high_q - q
    du2, dl3 = high_p - p, q - low_q
    return (
        p - q - math.sqrt(max(0.0, dl2**2 - 2 * phi * dl2 * du3 + du3**2)),
        p - q + math.sqrt(max(0.0, du2**2 - 2 * phi * du2 * dl3 + dl3**2)),
    )


def test_the_published_example_of_independent_rates() -> None:
    """Newcombe 1998, table II: 56/70 - 48/80, method 10: 0.0524 to 0.3339."""
    change = change_of_rate(rates((48, 80), (56, 70), Crossing()))
    assert change.value == pytest.approx(0.2)
    assert (round(change.low, 4), round(change.high, 4)) == (0.0524, 0.3339)


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), st.sampled_from([0.9, 0.95, 0.999]))
def test_no_image_shared_is_the_interval_of_independent_rates(
    counts: tuple[int, int, int, int], confidence: float
) -> None:
    first, last = (counts[0], counts[0] + counts[1] + 1), (counts[2], counts[2] + counts[3] + 1)
    change = change_of_rate(rates(first, last, Crossing()), confidence)
    wanted = independent(first, last, norm.ppf((1 + confidence) / 2))
    assert (change.low, change.high) == pytest.approx(wanted, abs=1e-7)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_all_images_shared_is_the_interval_of_paired_rates(a: int, b: int, c: int, d: int) -> None:
    n = a + b + c + d
    if n == 0:
        return
    crossing = Crossing(both=a, only_before=c, only_now=b, neither=d)
    change = change_of_rate(rates((a + c, n), (a + b, n), crossing))
    assert change.value == pytest.approx((b - c) / n)
    assert (change.low, change.high) == pytest.approx(paired(a, b, c, d, norm.ppf(0.975)), abs=1e-6)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_other_way_round_is_the_mirrored_interval(a: int, b: int, c: int, d: int) -> None:
    n = a + b + c + d + 1
    there = change_of_rate(rates((a + c, n), (a + b, n), Crossing(a, c, b, d)))
    back = change_of_rate(rates((a + b, n), (a + c, n), Crossing(a, b, c, d)))
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low), abs=1e-9
    )


def test_crossings_are_counted_and_added() -> None:
    before = np.array([True, True, False, False, False])
    now = np.array([True, False, True, False, False])
    assert Crossing.of(before, now) == Crossing(1, 1, 1, 2)
    assert Crossing.of(before, now) + Crossing(1, 2, 3, 4) == Crossing(2, 3, 4, 6)
    assert Crossing.of(before[:0], now[:0]) == Crossing()


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_interval_covers_a_true_change_as_often_as_it_says(part: float, rate: float) -> None:
    """Nights of 200 images, of which a part is the same and answers otherwise in a tenth."""
    random = np.random.default_rng(7)
    shared, own = round(200 * part), 200 - round(200 * part)
    covered = []
    for _ in range(2000):
        before = random.random(shared) < rate
        now = np.where(random.random(shared) < 0.9, before, random.random(shared) < rate + 0.1)
        truth = (0.1 * part * 0.1) + (1 - part) * 0.1
        first = np.concatenate([before, random.random(own) < rate])
        last = np.concatenate([now, random.random(own) < rate + 0.1])
        change = change_of_rate(
            rates((int(first.sum()), 200), (int(last.sum()), 200), Crossing.of(before, now))
        )
        covered.append(change.low <= truth <= change.high)
    assert 0.935 <= np.mean(covered) <= 0.995  # few discordant pairs: the correction is careful


@given(more=st.integers(0, 300), fewer=st.integers(0, 300))
def test_mcnemars_p_is_the_binomials(more: int, fewer: int) -> None:
    count = more + fewer
    known = binomtest(more, count, alternative="greater").pvalue if count else 1.0
    assert mcnemar_p(more, fewer) == pytest.approx(known)


def test_many_images_take_the_normal() -> None:
    more = EXACT // 2 + 60
    exact = binomtest(more, EXACT + 2, alternative="greater").pvalue
    assert mcnemar_p(more, EXACT + 2 - more) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(("confidence", "images"), [(0.95, 6), (0.99, 8), (0.9999, 15)])
def test_fewer_images_than_a_coin_needs_are_no_change(confidence: float, images: int) -> None:
    assert fewest_that_differ(confidence) == images
    assert 2 * 0.5**images <= 1 - confidence < 2 * 0.5 ** (images - 1)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3))))
def test_groups_are_counted_as_each_by_itself(images: list[tuple[bool, bool, int]]) -> None:
    """Group 3 and others may have no image."""
    before, now = (np.array([image[side] for image in images], bool) for side in (0, 1))
    group = np.array([image[2] for image in images], int)
    expected = [Crossing.of(before[group == it], now[group == it]) for it in range(4)]
    assert Crossing.of_groups(before, now, group, 4) == expected
    pairs = list(zip(before.tolist(), now.tolist(), strict=True))
    answers = [(True, True), (True, False), (False, True), (False, False)]
    assert Crossing.of(before, now) == Crossing(*map(pairs.count, answers))
