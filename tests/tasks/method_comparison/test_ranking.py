"""Which method is recommended, and why: figures, intervals and the written rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import spearmanr

from tasks import schema
from tasks.intervals.bootstrap import Floats
from tasks.method_comparison.figures import MethodMeasurements
from tasks.method_comparison.ranking import rank_methods

IMAGES = 60
NAMES = [name for kind in (schema.SCORES, schema.MERITS, schema.TRIALS) for name in kind.names[1:]]


def values(seed: int, **given: float | Floats) -> dict[str, Floats]:
    """Columns of an ordinary method; `given`: means, with a little spread, or one of each image."""
    generator = np.random.default_rng(seed)
    ordinary = {"insertion_blur": 0.7, "deletion_mean": 0.3, "share": 0.5, "lift": 2.0, "half": 0.1}
    ordinary |= {"clean": 0.9, "degraded": 0.3, "morf": 0.4, "lerf": 0.8, "stability": 0.9}
    ordinary |= {"seconds": 0.02, "forward_seconds": 0.01}
    columns = {}
    for name in NAMES:
        value = given.get(name, ordinary.get(name, 0.5))
        spread = 0.0 if name.endswith("seconds") else 0.05
        columns[name] = value + spread * generator.standard_normal(IMAGES)
    return columns


def method(name: str, seed: int = 0, **given: float | Floats) -> MethodMeasurements:
    return of_columns(name, values(seed, **given))


def of_columns(name: str, columns: dict[str, Floats]) -> MethodMeasurements:
    return MethodMeasurements(name, IMAGES, columns, np.random.default_rng(7).random(IMAGES))


def verdicts(*methods: MethodMeasurements) -> Mapping[str, str]:
    return {row.method: row.verdict for row in rank_methods(methods)[1]}


def test_the_cheapest_within_the_interval_of_the_best_is_recommended() -> None:
    best = method("ibisa", insertion_blur=0.71, seconds=0.4)
    alike = method("grad_cam", seed=1, insertion_blur=0.70, seconds=0.01)
    worse = method("saliency", seed=2, insertion_blur=0.5, seconds=0.005, lift=3.0)
    ranking, _ = rank_methods([best, alike, worse])
    assert ranking.recommended is not None
    assert ranking.recommended.method == "grad_cam"
    assert verdicts(best, alike, worse) == {
        "ibisa": "as faithful as the best, but more expensive than the recommended one",
        "grad_cam": "recommended",
        "saliency": "less faithful than ibisa",
    }
    assert ranking.sentence().startswith("Use grad_cam: faithfulness 0.39 (0.37 to 0.41), at 1 tim")
    assert "a bare prediction; ibisa has 0.40 (0.39 to 0.42) at 40 times" in ranking.sentence()


def test_a_map_that_stays_when_the_network_is_randomised_is_never_recommended() -> None:
    edges = method("captum:GuidedBackprop", half=0.95, insertion_blur=0.9, seconds=0.001)
    sound = method("grad_cam", seed=1)
    ranking, rows = rank_methods([edges, sound])
    assert [row.sane for row in rows] == [False, True]
    assert rows[0].verdict.startswith(
        "its maps hardly change when half of the network is randomised"
    )
    assert ranking.recommended is not None
    assert ranking.recommended.method == "grad_cam"
    assert rank_methods([edges])[0].sentence().startswith("No method is recommended")


def test_a_cheaper_method_that_is_no_worse_dominates() -> None:
    dear = method("iba", seconds=0.3, insertion_blur=0.69, stability=0.8)
    cheap = method("grad_cam", seed=1, seconds=0.01, insertion_blur=0.71, lift=2.2)
    _, rows = rank_methods([dear, cheap])
    assert [row.dominated_by for row in rows] == ["grad_cam", None]
    assert (
        rows[0].verdict
        == "dominated by grad_cam: cheaper, and no worse in faithfulness, lift and stability"
    )


def test_without_trials_the_declared_passes_are_the_price() -> None:
    untried = {name: np.full(IMAGES, np.nan) for name in schema.TRIALS.names[1:]}
    sampled = of_columns("rise:masks=500", values(0) | untried)
    cam = of_columns("grad_cam", values(1) | untried)
    ranking, rows = rank_methods([sampled, cam])
    assert [row.sane for row in rows] == [None, None]
    assert [method.price for method in ranking.methods] == [500, 1]
    assert ranking.recommended is not None
    assert ranking.recommended.method == "grad_cam"
    assert "randomised" not in ranking.sentence()


def test_every_figure_comes_with_its_interval_and_its_images() -> None:
    lost_N = np.full(IMAGES, 0.6)
    lost_N[:10] = np.nan
    (row,) = rank_methods([method("grad_cam", share=lost_N)])[1]
    assert tuple(row.figures) == schema.METHOD_FIGURES
    share = row.figures["share"]
    assert share is not None
    assert share.of == 50
    assert share.low < share.value < share.high
    faithful = row.figures["faithfulness"]
    assert faithful is not None
    assert faithful.value == pytest.approx(0.4, abs=0.03)
    spread = 1.96 * np.hypot(0.05, 0.05) / IMAGES**0.5
    assert faithful.high - faithful.low == pytest.approx(2 * spread, rel=0.35)


def test_degradation_is_relative_to_what_degrading_takes_from_the_data() -> None:
    found = method("grad_cam")
    (row,) = rank_methods([found])[1]
    lerf, morf, clean, degraded = (
        found.values[name].mean() for name in ("lerf", "morf", "clean", "degraded")
    )
    figure = row.figures["degradation"]
    assert figure is not None
    assert figure.value == pytest.approx((lerf - morf) / (clean - degraded))


def test_reliance_is_the_rank_correlation_of_background_share_and_evidence() -> None:
    reliance_N = np.random.default_rng(7).random(IMAGES)
    share_N = 1 - reliance_N + 0.2 * np.random.default_rng(8).standard_normal(IMAGES)
    found = MethodMeasurements("grad_cam", IMAGES, values(0, share=share_N), reliance_N)
    figure = rank_methods([found])[1][0].figures["reliance"]
    assert figure is not None
    background_N = (1 - found.values["share"]).clip(0)
    assert figure.value == pytest.approx(spearmanr(background_N, reliance_N)[0], abs=0.02)
    assert figure.low < figure.value < figure.high


def test_images_without_a_map_and_flat_maps_are_counted() -> None:
    clean_N = np.full(IMAGES, 0.9)
    clean_N[:5] = np.nan
    columns = values(0, clean=clean_N)
    (row,) = rank_methods([MethodMeasurements("grad_cam", 57, columns, np.zeros(IMAGES))])[1]
    assert (row.images, row.missing, row.flat) == (55, 3, 2)
    assert row.figures["reliance"] is None  # everything relies alike: no ranks to compare
