"""Objectives by name, and those that are cross entropy alone: erm, swap and dfr."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from models.errors import UserError
from models.objectives.dfr import Dfr
from models.objectives.erm import Erm
from models.objectives.ibsgl import IbsglCode, IbsglPaper
from models.objectives.registry import FAMILIES, find_objective
from models.objectives.sib_feature import SibFeature
from models.objectives.sib_interventional import SibInterventional
from models.objectives.sib_paper import SibPaper
from models.objectives.sib_robust import SibRobust
from models.objectives.step import Batch, Objective, mean_of
from models.objectives.swap import Swap
from tests.support.smooth_training_step import batch_of, gradient_of, learner_of, smooth_net


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        ("erm", Erm(), "erm"),
        ("swap:share=0.5", Swap(0.5), "swap:share=0.5"),
        ("swap:share=1", Swap(), "swap"),
        ("dfr", Dfr(), "dfr"),
        ("sib", SibInterventional(), "sib"),
        ("sib:form=interventional:share=1.0", SibInterventional(), "sib"),
        ("sib:weight=3:form=feature", SibFeature(3), "sib:form=feature:weight=3.0"),
        ("sib:form=feature:layer=a.b+c", SibFeature(layer="a.b+c"), "sib:form=feature:layer=a.b+c"),
        ("sib:form=robust:every=2", SibRobust(every=2), "sib:form=robust:every=2"),
        ("sib:form=paper:background=1000", SibPaper(), "sib:form=paper"),
        ("ibsgl:form=code:beta=2", IbsglCode(2), "ibsgl:beta=2.0"),
        ("ibsgl:form=paper:maps=rows", IbsglPaper(maps="rows"), "ibsgl:form=paper:maps=rows"),
    ],
)
def test_a_name_gives_an_objective_and_its_shortest_name(
    text: str, expected: Objective, name: str
) -> None:
    named = find_objective(text)
    assert named.objective == expected
    assert type(named.objective) is type(expected)
    assert named.name == name
    assert find_objective(named.name) == named


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sibb", "unknown objective 'sibb' (did you mean 'sib'?); known are 'erm', 'swap', "),
        ("", "unknown objective ''; known are 'erm'"),
        ("sib:form=papers", "objective sib has no form 'papers' (did you mean 'paper'?); known "),
        ("erm:form=paper", "objective erm has no argument 'form'; it takes none"),
        (
            "sib:weight=nan",
            "objective sib: weight=nan is not possible; give a number from 0 to 1e+06",
        ),
        ("sib:form=paper:background=-1", "objective sib: background=-1 is not possible; give"),
        ("swap:share=1.5", "objective swap: share=1.5 is not possible; give a number from 0 to 1"),
        ("sib:wieght=2", "objective sib has no argument 'wieght' (did you mean 'weight'?)"),
        ("sib:weight=much", "objective sib: weight=much is not of type float"),
        ("sib:form=robust:every=1.5", "objective sib: every=1.5 is not of type int"),
        ("sib:form=robust:every=0", "sib: every=0: at least 1 is needed"),
        ("sib:form=robust:mask=own", "sib: mask=own: it is one of 'given', 'self'"),
        ("ibsgl:maps=row", "ibsgl: maps=row (did you mean 'rows'?)"),
        ("sib:weight", "arguments 'weight' are not understood at 'weight'"),
        ("sib:weight=1:weight=2", "arguments 'weight=1:weight=2' are not understood"),
    ],
)
def test_an_invalid_name_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as raised:
        find_objective(text)
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_what_each_objective_needs() -> None:
    kinds = {kind for forms in FAMILIES.values() for kind in forms.values()}
    assert {kind for kind in kinds if kind.exchanges} == {Swap, SibInterventional}
    assert {kind for kind in kinds if kind().needs_masks} == {
        Swap,
        SibInterventional,
        SibFeature,
        SibRobust,
    }
    assert not SibRobust(mask="self").needs_masks
    assert {kind for kind in kinds if kind.needs_groups} == {Dfr}
    assert {kind for kind in kinds if kind.trains == "head"} == {Dfr}
    assert {kind for kind in kinds if kind().layers == ("",)} == {
        SibFeature,
        SibInterventional,
        IbsglCode,
        IbsglPaper,
    }


def test_labels_may_be_spread_over_classes() -> None:
    network, batch = smooth_net(), batch_of()
    loss = Erm().loss(learner_of(network), batch).total
    log_BK = network(batch.image_BCHW).log_softmax(1)
    total = 0.0
    for label_K, log_K in zip(batch.soft_label_BK.tolist(), log_BK.tolist(), strict=True):
        total -= sum(p * log for p, log in zip(label_K, log_K, strict=True)) / 5
    assert loss.item() == pytest.approx(total, rel=1e-12)
    torch.testing.assert_close(Dfr().loss(learner_of(network), batch).total, loss)


@pytest.mark.parametrize("name", ["erm", "sib", "sib:form=robust", "ibsgl"])
def test_half_precision_ends_before_anything_is_squared(name: str) -> None:
    batch = batch_of()
    halves: dict[str, Any] = {
        key: value.bfloat16()
        for key, value in vars(batch).items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    learner = learner_of(smooth_net().bfloat16())
    loss = find_objective(name).objective.loss(learner, replace(batch, **halves))
    assert loss.parts["cross_entropy"].dtype == torch.float32
    assert loss.total.isfinite()


def test_objects_stay_and_backgrounds_are_anothers() -> None:
    batch = batch_of()
    moved = batch.on_other_backgrounds(1.0)
    assert batch.other_BCHW is not None
    for b in range(5):
        inside_HW = batch.mask_BHW[b] == 1
        moved_CHW, own_CHW, other_CHW = (
            value[b] for value in (moved.image_BCHW, batch.image_BCHW, batch.other_BCHW)
        )
        if b == 2:  # its foreground is unknown
            assert torch.equal(moved_CHW, own_CHW)
            continue
        assert 0 < inside_HW.sum() < inside_HW.numel()
        assert torch.equal(moved_CHW[:, inside_HW], own_CHW[:, inside_HW])
        assert torch.equal(moved_CHW[:, ~inside_HW], other_CHW[:, ~inside_HW])


def test_half_a_pixel_of_object_is_half_exchanged() -> None:
    batch = batch_of()
    half = replace(batch, mask_BHW=torch.full_like(batch.mask_BHW, 0.5))
    assert batch.other_BCHW is not None
    expected_BCHW = (batch.image_BCHW + batch.other_BCHW) / 2
    moved_BCHW = half.on_other_backgrounds(1.0).image_BCHW
    torch.testing.assert_close(moved_BCHW[batch.known_B], expected_BCHW[batch.known_B])


def test_the_share_says_how_many_move() -> None:
    batch = batch_of()  # chances 0, .225, .45, .675 and .9
    for share, moves in ((0.0, []), (0.5, [0, 1]), (0.7, [0, 1, 3]), (1.0, [0, 1, 3, 4])):
        moved_BCHW = batch.on_other_backgrounds(share).image_BCHW
        changed_B = (moved_BCHW != batch.image_BCHW).flatten(1).any(1)
        assert changed_B.nonzero()[:, 0].tolist() == moves


def exchange_by_hand(batch: Batch) -> Batch:
    keep_BHW = torch.where(batch.known_B[:, None, None], batch.mask_BHW, 1)[:, None]
    assert batch.other_BCHW is not None
    return replace(
        batch, image_BCHW=batch.image_BCHW * keep_BHW + batch.other_BCHW * (1 - keep_BHW)
    )


@pytest.mark.parametrize(("moving", "still"), [(Swap, Erm), (SibInterventional, SibFeature)])
def test_learning_on_other_backgrounds(moving: type[Swap], still: type[Erm]) -> None:
    network, batch = smooth_net(), batch_of()
    learner = learner_of(network)
    for objective, moved in ((moving(), exchange_by_hand(batch)), (moving(share=0.0), batch)):
        loss, expected = objective.loss(learner, batch), still().loss(learner, moved)
        torch.testing.assert_close(dict(loss.parts), dict(expected.parts))
        torch.testing.assert_close(
            gradient_of(loss.total, network), gradient_of(expected.total, network)
        )


def test_a_batch_without_other_backgrounds_is_refused() -> None:
    with pytest.raises(ValueError, match="the batch has none"):
        Swap().loss(learner_of(smooth_net()), replace(batch_of(), other_BCHW=None))


def test_a_mean_is_over_the_counted_images() -> None:
    value_B = torch.tensor([1.0, torch.nan, 5.0])
    assert mean_of(value_B, torch.tensor([True, False, True])).item() == 3
    assert mean_of(value_B, torch.tensor([False, False, False])).item() == 0


def test_cross_entropy_is_torchs() -> None:
    network, batch = smooth_net(), batch_of()
    expected = cross_entropy(network(batch.image_BCHW)[1:], batch.target_B[1:])
    some = replace(batch, image_BCHW=batch.image_BCHW[1:], soft_label_BK=batch.soft_label_BK[1:])
    torch.testing.assert_close(Erm().loss(learner_of(network), some).total, expected)
