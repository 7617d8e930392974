"""The headline says what qualifies it: a model at chance, or an effect too small to matter."""

from __future__ import annotations

import pytest

from reports.finding import MATTERS, few_other_donors, finding_of, headline, negligible_effect
from tasks.schema import Interval, wilson
from tests.support.audit_summaries import evidence, figure, summary
from tests.support.html_page import read

CHANCE = "The model is not clearly better than chance (50.0%). "
NO_EFFECT = (
    "No finding about the background: in place of their own, other backgrounds take +0.3 points of "
    "probability, where 2 would matter. The 34.9% that are flagged say nothing."
)


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
    found = summary(evidence=evidence(reliance_effect=lost(0.003), flips_effect=lost(0.086)))
    assert finding_of(found).striptags() == NO_EFFECT
    words = read(found).words
    assert "take +0.3 points of the probability of the predicted class" in words
    assert "it is clear that" not in words
    assert "none of them shows that a prediction rests on the background" in words


def test_without_an_effect_nothing_is_found_for_any_excess() -> None:
    tiny = evidence(reliance_effect=lost(0.003), flips_effect=lost(0.086))
    assert finding_of(summary(evidence=tiny, excess=None)).striptags() == NO_EFFECT


def test_a_model_at_chance_without_an_effect_is_not_judged() -> None:
    """An untrained network that changes many of its guesses."""
    guesses = evidence(reliance_effect=lost(0.003), flips_effect=lost(0.4))
    words = headline(summary(evidence=guesses, accuracy=wilson(600, 1197)))
    assert words.endswith(f"{CHANCE}{NO_EFFECT}")


@pytest.mark.parametrize(("images", "said"), [(1180, False), (590, False), (589, True)])
def test_few_donors_of_another_prediction_are_said(images: int, said: bool) -> None:
    found = summary(evidence=evidence(flips_across=figure(0.4, of=images)))
    few = f"Only {images:,} of 1,180 images were put on the background of a picture that is"
    assert (few in read(found).words) == said


def test_a_constant_model_has_no_donor_of_another_prediction() -> None:
    none = summary(evidence=evidence(flips_across=None))
    assert few_other_donors(none).startswith("Only 0 of 1,180 images were put")


@pytest.mark.parametrize("value", [MATTERS, 0.0195, 0.3])
def test_an_effect_that_may_matter_is_a_finding(value: float) -> None:
    found = summary(evidence=evidence(reliance_effect=lost(value)))
    assert negligible_effect(found) is None
    assert "it is clear that some of these predictions rest on the background" in read(found).words


def test_many_changed_predictions_matter_unless_they_are_guesses() -> None:
    """A network whose probabilities are all alike may still depend on backgrounds."""
    flat = evidence(reliance_effect=lost(0.003), flips_effect=lost(0.4))
    assert negligible_effect(summary(evidence=flat)) is None
    assert negligible_effect(summary(evidence=flat, accuracy=wilson(600, 1197))) is not None
    assert negligible_effect(summary(evidence=flat, accuracy=wilson(0, 0))) is None


def test_an_effect_that_is_not_known_hides_nothing() -> None:
    assert negligible_effect(summary(evidence=evidence(reliance_effect=None))) is None
    assert negligible_effect(summary(evidence=None)) is None
