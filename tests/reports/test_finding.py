"""The headline says what qualifies it: a model at chance, or an effect too small to matter."""

from __future__ import annotations

import pytest

from reports.finding import MATTERS, finding_of, headline, negligible_effect
from tasks.schema import Interval, wilson
from tests.support.audit_summaries import evidence, summary
from tests.support.html_page import read

CHANCE = "The model is not clearly better than chance (50.0%). "
NO_EFFECT = "34.9% of the decided predictions are flagged, but to no effect: other backgrounds take"


def lost(value: float, half: float = 0.001) -> Interval:
    return Interval(value=value, low=value - half, high=value + half, of=1180)


@pytest.mark.parametrize(("right", "said"), [(600, True), (610, True), (660, False), (300, True)])
def test_a_model_at_chance_is_said_to_be_one(right: int, said: bool) -> None:
    """Of two classes, by the interval of the accuracy."""
    words = headline(summary(accuracy=wilson(right, 1197)))
    assert (CHANCE in words) == said
    assert words.startswith(f"{100 * right / 1197:.1f}% of 1,197 images with a label")


def test_without_labels_nothing_is_said_of_chance() -> None:
    assert "chance" not in headline(summary(accuracy=wilson(0, 0)))


def test_an_excess_without_an_effect_is_no_finding() -> None:
    """An untrained network: the score ranks, and nothing is lost."""
    found = summary(evidence=evidence(reliance_across=lost(0.003), flips_across=lost(0.086)))
    assert (
        finding_of(found).striptags()
        == f"{NO_EFFECT} 0.3 points of probability, where 2 would matter."
    )
    words = read(found).words
    assert "take only +0.3 points of the probability of the predicted class" in words
    assert "it is clear that" not in words


@pytest.mark.parametrize("value", [MATTERS, 0.0195, 0.3])
def test_an_effect_that_may_matter_is_a_finding(value: float) -> None:
    found = summary(evidence=evidence(reliance_across=lost(value)))
    assert negligible_effect(found) is None
    assert "it is clear that some of these predictions rest on the background" in read(found).words


def test_many_changed_predictions_matter_unless_they_are_guesses() -> None:
    """A network whose probabilities are all alike may still depend on backgrounds."""
    flat = evidence(reliance_across=lost(0.003), flips_across=lost(0.4))
    assert negligible_effect(summary(evidence=flat)) is None
    assert negligible_effect(summary(evidence=flat, accuracy=wilson(600, 1197))) is not None
    assert negligible_effect(summary(evidence=flat, accuracy=wilson(0, 0))) is None


def test_an_effect_that_is_not_known_hides_nothing() -> None:
    assert negligible_effect(summary(evidence=evidence(reliance_across=None))) is None
    assert negligible_effect(summary(evidence=None)) is None
