"""The images that judge a candidate. Shapes: N images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import Union
from tasks.discover.facts import UNKNOWN, Facts
from tasks.discover.trial_plan import TrialImages, plan_trial
from tasks.schema.patterns import Exchanged

IMAGES, CLASSES, PULLS_TO = 1_200, 4, 2
NOTHING = np.zeros(0)


@pytest.fixture
def facts() -> Facts:
    """Every image has a copy: the one after it, from the first on."""
    generator = np.random.default_rng(0)
    content_N = np.arange(IMAGES, dtype=np.uint64) // 2
    label_N = generator.integers(CLASSES, size=IMAGES).astype(np.int32)
    is_right_N = generator.random(IMAGES) < 0.8
    return Facts(
        proposes_N=content_N % 2 == 0,
        content_N=content_N,
        label_N=label_N,
        prediction_N=np.where(is_right_N, label_N, (label_N + 1) % CLASSES).astype(np.int32),
        alone_N=label_N,
        bare_N=label_N,
        area_N=generator.uniform(0, 1, IMAGES).astype(np.float32),
        brightness_N=generator.random(IMAGES).astype(np.float32),
    )


def candidate(exchanged: Exchanged = "background", members: int = 600) -> Candidate:
    """Of the first images, the nearer to the centre the later."""
    leaf_N = (np.arange(IMAGES) >= members).astype(np.int16)
    distance_N = np.linspace(1, 0, IMAGES)
    grouping = Grouping("background", leaf_N, distance_N, (), NOTHING, NOTHING, NOTHING)
    return Candidate(grouping, Union((0,), 1.0), PULLS_TO, exchanged, None, 1.0)


def all_of(images: TrialImages) -> list[int]:
    return [*images.exemplars, *images.controls, *images.recipients]


def test_no_image_of_the_proposing_half_judges(facts: Facts) -> None:
    images = plan_trial(candidate(), facts)
    assert [len(it) for it in vars(images).values()] == [12, 12, 32]
    assert not facts.proposes_N[all_of(images)].any()


def test_no_picture_is_there_twice(facts: Facts) -> None:
    numbers = all_of(plan_trial(candidate(), facts))
    assert len(set(facts.content_N[numbers])) == len(numbers)


def test_a_copy_of_a_member_that_is_none_is_not_beside_it(facts: Facts) -> None:
    """As by a column that says another thing of the same picture, the one most like it."""
    alike = {name: getattr(facts, name)[::2].repeat(2) for name in ("label_N", "area_N")}
    facts = replace(facts, **alike, brightness_N=facts.brightness_N[::2].repeat(2))
    of_column = replace(
        candidate(),
        grouping=replace(candidate().grouping, leaf_N=(np.arange(IMAGES) % 2).astype(np.int16)),
    )
    images = plan_trial(of_column, facts)
    assert images.are_enough
    assert len(set(facts.content_N[all_of(images)])) == len(all_of(images))


def test_exemplars_are_members_near_the_centre_with_labels_in_turn(facts: Facts) -> None:
    images = plan_trial(candidate(), facts)
    assert max(images.exemplars) < 600
    usable = np.flatnonzero(~facts.proposes_N[:600])
    assert min(images.exemplars) >= sorted(usable)[-2 * 2 * 4 * 12]  # copies, unusable areas, turns
    counts = np.bincount(facts.label_N[list(images.exemplars)], minlength=CLASSES)
    assert counts.tolist() == [3, 3, 3, 3]


def test_controls_are_no_members_and_like_their_exemplars(facts: Facts) -> None:
    images = plan_trial(candidate(), facts)
    exemplars, controls = list(images.exemplars), list(images.controls)
    assert min(controls) >= 600
    assert (facts.label_N[controls] == facts.label_N[exemplars]).all()
    apart = np.abs(facts.area_N[controls] - facts.area_N[exemplars])
    assert apart.mean() < 0.1  # at random, 0.3


def test_recipients_are_predicted_rightly_and_as_another_class(facts: Facts) -> None:
    recipients = list(plan_trial(candidate(), facts).recipients)
    assert min(recipients) >= 600
    assert (facts.prediction_N[recipients] == facts.label_N[recipients]).all()
    counts = np.bincount(facts.prediction_N[recipients], minlength=CLASSES)
    assert counts[PULLS_TO] == 0
    assert counts.max() - np.delete(counts, PULLS_TO).min() <= 1


def test_images_of_stronger_patterns_judge_nothing(facts: Facts) -> None:
    without_N = np.random.default_rng(1).random(IMAGES) < 0.5
    images = plan_trial(candidate(), facts, without_N)
    assert images.are_enough
    assert not without_N[all_of(images)].any()


def test_pictures_that_are_all_object_give_no_background(facts: Facts) -> None:
    bare = replace(facts, area_N=np.full(IMAGES, 0.99, np.float32))
    assert not plan_trial(candidate(), bare).are_enough
    assert plan_trial(candidate("region"), bare).are_enough


def test_without_labels_controls_are_like_in_all_else(facts: Facts) -> None:
    unlabelled = replace(facts, label_N=np.full(IMAGES, UNKNOWN, np.int32))
    images = plan_trial(candidate(), unlabelled)
    assert images.are_enough
    exemplars, controls = list(images.exemplars), list(images.controls)
    apart = np.abs(facts.brightness_N[controls] - facts.brightness_N[exemplars])
    assert apart.mean() < 0.1  # at random, 0.33


def test_a_handful_of_members_is_too_few(facts: Facts) -> None:
    assert not plan_trial(candidate(members=10), facts).are_enough
