"""Verdicts after the second trial, from the results of trials. Shapes: N images."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import Union
from tasks.discover.confirm import ONLY_WITH, Trials, confirm
from tasks.discover.facts import Facts
from tasks.discover.trial_plan import TrialImages
from tasks.discover.verdicts import TrialResult
from tasks.schema.patterns import LEAST_EFFECT, Exchanged
from tests.tasks.discover.test_verdicts import outcomes, result

IMAGES, CLASSES, PULLS_TO = 1_200, 4, 2
NOTHING = np.zeros(0)


def make_facts() -> Facts:
    generator = np.random.default_rng(0)
    class_N = generator.integers(CLASSES, size=IMAGES).astype(np.int32)
    return Facts(
        proposes_N=np.arange(IMAGES) % 2 == 0,
        content_N=np.arange(IMAGES, dtype=np.uint64),
        label_N=class_N,
        prediction_N=class_N,
        alone_N=class_N,
        bare_N=class_N,
        area_N=np.full(IMAGES, 0.1, np.float32),
        brightness_N=generator.random(IMAGES).astype(np.float32),
    )


def candidate(start: int, end: int, exchanged: Exchanged = "background") -> Candidate:
    """Of the images from one number to another."""
    number_N = np.arange(IMAGES)
    leaf_N = np.where((start <= number_N) & (number_N < end), 0, 1).astype(np.int16)
    grouping = Grouping("background", leaf_N, np.zeros(IMAGES), (), NOTHING, NOTHING, NOTHING)
    return Candidate(grouping, Union((0,), 1.0), PULLS_TO, exchanged, None, 1.0)


def trials_with(results: Mapping[int, TrialResult]) -> Trials:
    """Whose second trials show what the first did."""

    def measure(
        _: Mapping[int, Candidate], planned: Mapping[int, TrialImages], first_number: int = 0
    ) -> dict[int, TrialResult]:
        return {it: results[it] for it, images in planned.items() if images.are_enough}

    divided = SimpleNamespace(facts=make_facts())
    return cast(Trials, SimpleNamespace(divided=divided, measure=measure))


def test_what_a_stronger_pattern_explains_does_not_make_the_others_easier_to_confirm() -> None:
    """Twice the same images as the strongest, with something else of them exchanged."""
    weak = result(outcomes(0.8, seed=369))
    assert weak.main.effect.low >= LEAST_EFFECT
    assert 0.025 < weak.main.p < 0.05
    results = [result(outcomes(it)) for it in (3.5, 3.0, 2.5)]
    candidates = [
        candidate(0, 400),
        candidate(0, 400, "region"),
        candidate(0, 400, "property"),
        candidate(400, 800),
    ]
    judged = confirm(trials_with(dict(enumerate([*results, weak]))), candidates)
    assert [it.candidate for it in judged] == candidates
    assert [it.judgement.verdict for it in judged] == ["confirmed", *["not confirmed"] * 3]
    assert [it.judgement.reason for it in judged[1:3]] == [ONLY_WITH] * 2
    assert judged[3].judgement.reason == "which chance may explain"
    assert judged[3].judgement.q == pytest.approx(2 * weak.main.p)


def test_what_is_tried_again_and_shows_the_same_stays_confirmed() -> None:
    strong, other = result(outcomes(3.5)), result(outcomes(3.0))
    candidates = [candidate(0, 400), candidate(400, 800)]
    judged = confirm(trials_with({0: strong, 1: other}), candidates)
    assert [it.is_confirmed for it in judged] == [True, True]
    assert [it.number for it in judged] == [0, 3]  # after the first trials
    again = [*judged[1].images.exemplars, *judged[1].images.controls, *judged[1].images.recipients]
    assert not judged[0].candidate.member_N[again].any()
