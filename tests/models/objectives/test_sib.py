"""S-IB, robust and on features, against its formulas in loops, and its edge cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.network.capture import capture
from models.network.grid import Grid
from models.objectives.dependence import cka
from models.objectives.erm import Erm
from models.objectives.sib_feature import SibFeature, background_share
from models.objectives.sib_paper import SibPaper
from models.objectives.sib_robust import SibRobust, derive_mask, margin, outside_share
from models.objectives.soft_mask import soft_mask
from models.objectives.step import Batch
from tests.support import objective_oracles as oracles
from tests.support.smooth_training_step import (
    LAST,
    STEM,
    SmoothNet,
    batch_of,
    drawn,
    gradient_of,
    jacobian,
    learner_of,
    nobody_known,
    smooth_net,
)


def margin_gradient(network: nn.Module, batch: Batch) -> Tensor:
    """J^T v image by image, v = e_y - mean of all others."""
    gradients = []
    for image_CHW, target in zip(batch.image_BCHW, batch.target_B.tolist(), strict=True):
        rows_KCHW = jacobian(network, image_CHW)
        others = [k for k in range(len(rows_KCHW)) if k != target]
        gradients.append(rows_KCHW[target] - rows_KCHW[others].mean(0))
    return torch.stack(gradients)


def test_the_margin_is_the_targets_logit_minus_the_mean_of_others() -> None:
    logits_BK = torch.tensor([[1.0, 2.0, 6.0], [4.0, 0.0, 2.0]])
    assert margin(logits_BK, torch.tensor([2, 0])).tolist() == [4.5, 3.0]


@pytest.mark.parametrize("mask", ["given", "self"])
def test_the_robust_loss_is_its_formula(mask: str) -> None:
    network, batch = smooth_net(), batch_of()
    loss = SibRobust(mask=mask).loss(learner_of(network), batch)
    gradient_BCHW = margin_gradient(network, batch)
    known = batch.known_B if mask == "given" else torch.ones_like(batch.known_B)
    mask_BHW = batch.mask_BHW.numpy()
    if mask == "self":
        largest_B = gradient_BCHW.abs().amax((1, 2, 3), keepdim=True)
        scaled_BCHW = (gradient_BCHW / largest_B).numpy()
        mask_BHW = np.stack([oracles.soft_mask(gradient_CHW, 3) for gradient_CHW in scaled_BCHW])
    counted = known.nonzero()[:, 0].tolist()
    share = np.mean([oracles.robust_share(gradient_BCHW[b].numpy(), mask_BHW[b]) for b in counted])
    inside = [
        (value_BCHW.numpy() * mask_BHW[:, None])[counted].reshape(len(counted), -1)
        for value_BCHW in (gradient_BCHW, batch.image_BCHW)
    ]
    dependence, cross_entropy = oracles.cka(*inside), loss.parts["cross_entropy"].item()
    assert loss.parts["background"].item() == pytest.approx(share, rel=1e-6)
    assert loss.parts["foreground"].item() == pytest.approx(dependence, rel=1e-6)
    expected = cross_entropy + share + 0.1 * (1 - dependence)
    assert loss.total.item() == pytest.approx(expected, rel=1e-6)


def make_sure(network: SmoothNet) -> SmoothNet:
    """Multiply its logits by a hundred."""
    with torch.no_grad():
        network.fc.weight.mul_(100)
        network.fc.bias.mul_(100)
    return network


def test_being_sure_leaves_the_robust_form_its_gradient_and_the_paper_none() -> None:
    batch, gradients, variances = batch_of(), [], []
    for network in (smooth_net(), make_sure(smooth_net())):
        share = SibRobust().loss(learner_of(network), batch).parts["background"]
        gradients.append(torch.autograd.grad(share, network.stem.weight)[0])
        variances.append(SibPaper().loss(learner_of(network), batch).parts["background"].item())
    assert gradients[0].norm() > 1e-3
    torch.testing.assert_close(*gradients)
    assert variances[1] < 1e-6 * variances[0]


def test_normalisation_neither_mixes_the_explained_images_nor_learns_twice() -> None:
    network, batch = smooth_net(norm=True), batch_of()
    network.train()
    loss = SibRobust().loss(learner_of(network), batch)
    assert network.norm.training
    once = smooth_net(norm=True).train()
    cross_entropy = Erm().loss(learner_of(once), batch).total
    torch.testing.assert_close(dict(network.named_buffers()), dict(once.named_buffers()))
    torch.testing.assert_close(loss.parts["cross_entropy"], cross_entropy)
    share_B, _ = outside_share(margin_gradient(network.eval(), batch), batch.mask_BHW)
    torch.testing.assert_close(loss.parts["background"], share_B[batch.known_B].mean())


def test_the_other_steps_have_cross_entropy_alone() -> None:
    network, batch = smooth_net(), batch_of()
    learner, objective = learner_of(network), SibRobust(every=4)
    expected = Erm().loss(learner, batch)
    loss = objective.loss(learner, replace(batch, step=3))
    assert loss.total.item() == expected.total.item()
    assert set(loss.parts) == {"cross_entropy"}
    assert set(objective.loss(learner, replace(batch, step=4)).parts) > {"cross_entropy"}


def test_the_weights_rise_in_the_first_steps() -> None:
    learner, batch, extras = learner_of(smooth_net()), batch_of(), []
    for step in (0, 4, 9, 50):
        loss = SibRobust(warm_up=0.1).loss(learner, replace(batch, step=step, steps=100))
        extras.append((loss.total - loss.parts["cross_entropy"]).item())
    assert [extra / extras[-1] for extra in extras] == pytest.approx([0.1, 0.5, 1, 1])


def test_two_images_always_depend_and_so_do_not_count() -> None:
    network, batch = smooth_net(), batch_of()
    assert cka(drawn(2, 10), drawn(2, 10, seed=1)).item() == pytest.approx(1, abs=1e-6)
    two = replace(batch, known_B=torch.arange(len(batch.known_B)) < 2)
    loss = SibRobust().loss(learner_of(network), two)
    assert loss.parts["foreground"].item() == 0
    assert loss.parts["background"].item() > 0


def test_the_mask_of_a_tiny_gradient_is_that_of_a_large_one() -> None:
    gradient_BCHW = drawn(2, 3, 12, 12)
    torch.testing.assert_close(derive_mask(gradient_BCHW * 1e-9), derive_mask(gradient_BCHW))
    assert float(soft_mask(gradient_BCHW * 1e-9).amax()) < float(derive_mask(gradient_BCHW).amax())


def feature_share(network: nn.Module, grid: Grid, batch: Batch) -> float:
    """Mean over the images with a known foreground, from a separate capture."""
    captured = capture(network, grid, batch.image_BCHW, batch.target_B)
    shares = [
        oracles.feature_share(
            captured.activation_BDhw[b].numpy(),
            captured.gradient_BDhw[b].numpy(),
            batch.mask_BHW[b].numpy(),
        )
        for b in batch.known_B.nonzero()[:, 0].tolist()
    ]
    return float(np.mean(shares))


def test_the_feature_loss_is_its_formula_on_each_layer() -> None:
    network, batch = smooth_net(), batch_of()
    loss = SibFeature(weight=2).loss(learner_of(network, STEM, LAST), batch)
    share = np.mean([feature_share(network, grid, batch) for grid in (STEM, LAST)])
    assert loss.parts["background"].item() == pytest.approx(share, rel=1e-9)
    cross_entropy = loss.parts["cross_entropy"].item()
    assert loss.total.item() == pytest.approx(cross_entropy + 2 * share, rel=1e-9)
    assert SibFeature(layer="stem+last").layers == ("stem", "last")


class Tokens(nn.Module):
    """Lays cells out as tokens behind a class token."""

    def forward(self, cell_BDhw: Tensor) -> Tensor:
        cell_BTD = cell_BDhw.flatten(2).transpose(1, 2)
        return torch.cat([cell_BTD.mean(1, keepdim=True), cell_BTD], 1)


class Cells(nn.Module):
    """And back."""

    def forward(self, token_BTD: Tensor) -> Tensor:
        side = round((token_BTD.shape[1] - 1) ** 0.5)
        cell_BDhw: Tensor = token_BTD[:, 1:].transpose(1, 2).reshape(len(token_BTD), -1, side, side)
        return cell_BDhw


def test_tokens_are_read_as_the_cells_that_they_are() -> None:
    network, batch = smooth_net(), batch_of()
    expected = SibFeature().loss(learner_of(network), batch).parts["background"]
    network.last = nn.Sequential(network.last, Tokens())  # type: ignore[assignment]
    network.after = nn.Sequential(Cells(), network.after)  # type: ignore[assignment]
    grid = Grid("last", 6, 6, "BTD", prefix=1)
    share = SibFeature().loss(learner_of(network, grid), batch).parts["background"]
    torch.testing.assert_close(share, expected)


@pytest.mark.parametrize("objective", [SibFeature(), SibRobust()])
def test_images_without_a_mask_have_cross_entropy_alone(objective: Erm) -> None:
    network, batch = smooth_net(), nobody_known(batch_of())
    learner = learner_of(network)
    loss, expected = objective.loss(learner, batch), Erm().loss(learner, batch)
    assert loss.parts["background"].item() == 0
    assert loss.total.isfinite()
    torch.testing.assert_close(
        gradient_of(loss.total, network), gradient_of(expected.total, network)
    )


def test_only_images_with_a_mask_count() -> None:
    network, batch = smooth_net(), batch_of()
    learner = learner_of(network)
    known = replace(
        batch,
        **{
            name: getattr(batch, name)[batch.known_B]
            for name in ("image_BCHW", "soft_label_BK", "mask_BHW", "known_B")
        },
    )
    of_all, of_known = (SibFeature().loss(learner, images).parts for images in (batch, known))
    torch.testing.assert_close(of_all["background"], of_known["background"])


def test_a_map_of_zeros_adds_nothing() -> None:
    batch = batch_of()
    zeros_BDhw = torch.zeros(5, 2, 6, 6, dtype=torch.double, requires_grad=True)
    share = background_share(zeros_BDhw, drawn(5, 2, 6, 6), batch)
    (gradient_BDhw,) = torch.autograd.grad(share, zeros_BDhw)
    assert share.item() == 0
    assert not gradient_BDhw.any()
