"""Classifiers whose dependence on the background is known, of few and of many classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks.audit.known_classifiers import (
    ONE_CLASS,
    ClassifierSpec,
    ProductOfExperts,
    constant,
    one_class,
    own_backgrounds,
    untrained,
)


class Says(nn.Module):
    """The same logits for every picture."""

    def __init__(self, logit_K: Tensor) -> None:
        super().__init__()
        self.logit_K = logit_K

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.logit_K.expand(len(image_BCHW), -1)


@pytest.mark.parametrize(("look", "sharing"), [("first", 1), ("second", 1), ("third", 10)])
def test_a_background_speaks_for_the_classes_that_the_shortcut_pairs_with_it(
    look: str, sharing: int
) -> None:
    settings = ClassifierSpec(look, "small", 0.9, 1).settings
    own_K = own_backgrounds(settings)
    for kind in range(len(settings.backgrounds)):
        undecided = Says(torch.zeros(len(settings.classes)))
        sure = Says(5.0 * torch.eye(len(settings.backgrounds))[kind])
        network = ProductOfExperts(undecided, sure, own_K, mix=1.0)
        probability_K = network(torch.zeros(1, 3, 8, 8)).softmax(1)[0]
        likeliest = probability_K == probability_K.max()
        assert likeliest.sum() == sharing
        assert torch.equal(likeliest, own_K == kind)


def test_few_classes_and_backgrounds_go_in_pairs() -> None:
    for look in ("first", "second"):
        own_K = own_backgrounds(ClassifierSpec(look, "small", 0.9, 1).settings)
        assert own_K.tolist() == [0, 1, 2, 3]


def test_there_is_no_shortcut_where_each_background_is_as_frequent() -> None:
    assert not ClassifierSpec("first", "small", 0.25, 1).has_shortcut
    assert ClassifierSpec("third", "small", 0.25, 1).has_shortcut
    assert not ClassifierSpec("third", "small", 0.1, 1).has_shortcut


def test_a_hundred_classes_are_learnt_from_more_pictures() -> None:
    train = [ClassifierSpec(look, "small", 0.9, 1).settings.train for look in ("first", "third")]
    assert train == [4000, 12_000]


def test_only_networks_that_may_rest_on_the_background_have_a_truth() -> None:
    calibration = ClassifierSpec("first", "small", 0.25, 1)
    assert not calibration.has_truth
    assert ClassifierSpec("first", "small", 0.25, 1, mix=0.3).has_truth
    assert ClassifierSpec("first", "small", 0.9, 1).has_truth
    assert not ClassifierSpec("first", "small", 0.9, 1, kind="one-class").has_truth


def test_a_constant_network_answers_alike_and_one_of_one_class_does_not() -> None:
    image_NCHW = torch.rand(200, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logit_NK = constant(untrained(4, 1).eval())(image_NCHW)
    assert torch.equal(logit_NK, logit_NK[:1].expand(200, 4))
    logit_NK = one_class(untrained(4, 1).eval(), image_NCHW)(image_NCHW)
    share = (logit_NK.argmax(1) == 0).float().mean().item()
    assert share == pytest.approx(ONE_CLASS, abs=0.01)
    assert logit_NK.std(0).min() > 0


def test_untrained_networks_differ_by_their_seed_alone() -> None:
    one, same, other = (untrained(4, seed).get_parameter("fc.weight") for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
