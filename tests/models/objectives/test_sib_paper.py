"""S-IB as its authors train it, its soft mask and its dependence, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.objectives.dependence import cka, hsic
from models.objectives.erm import Erm
from models.objectives.sib_paper import SibPaper, softmax_gradient
from models.objectives.soft_mask import soft_mask, soft_quantile
from tests.support import objective_oracles as oracles
from tests.support.smooth_training_step import batch_of, drawn, jacobian, learner_of, smooth_net


@pytest.mark.parametrize("at", [0.0, 0.05, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("count", [2, 9, 144])
def test_the_soft_quantile_weighs_all_order_statistics(at: float, count: int) -> None:
    value_BN = drawn(3, count)
    quantile_B = soft_quantile(value_BN, at)
    expected = [oracles.soft_quantile(value_N, at) for value_N in value_BN.numpy()]
    torch.testing.assert_close(quantile_B, torch.tensor(expected, dtype=torch.double))


def test_the_soft_quantile_is_near_the_ordinary_one() -> None:
    value_BN = drawn(2, 50176)
    torch.testing.assert_close(
        soft_quantile(value_BN, 0.8), value_BN.quantile(0.8, 1), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(("side", "window"), [(12, 3), (32, 5)])
def test_the_soft_mask_is_the_papers(side: int, window: int) -> None:
    gradient_BCHW = drawn(2, 3, side, side)
    for gradient_CHW, mask_HW in zip(gradient_BCHW, soft_mask(gradient_BCHW), strict=True):
        expected_HW = oracles.soft_mask(gradient_CHW.numpy(), window)
        torch.testing.assert_close(mask_HW, torch.from_numpy(expected_HW))


def test_the_window_is_31_pixels_where_the_paper_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[tuple[int, int]] = []

    def note(value: Tensor, window: int, *, stride: int, padding: int) -> Tensor:
        assert stride == 1
        windows.append((window, padding))
        return value

    monkeypatch.setattr("models.objectives.soft_mask.avg_pool2d", note)
    soft_mask(drawn(1, 3, 224, 224))
    assert windows == [(31, 15)]


def test_dependence_is_the_centred_kernels_product() -> None:
    one_BN, other_BN = drawn(6, 10), drawn(6, 4, seed=1)
    rows = one_BN.numpy(), other_BN.numpy()
    assert hsic(one_BN, other_BN).item() == pytest.approx(oracles.hsic(*rows), rel=1e-12)
    assert cka(one_BN, other_BN).item() == pytest.approx(oracles.cka(*rows), rel=1e-9)


def test_dependence_on_a_rotation_at_another_scale_is_whole() -> None:
    one_BN, (turn_NN, _) = drawn(6, 10), torch.linalg.qr(drawn(10, 10, seed=1))
    assert cka(one_BN, 7 * one_BN @ turn_NN).item() == pytest.approx(1, abs=1e-9)
    assert cka(one_BN, drawn(6, 10, seed=2)).item() < 0.9


def test_dependence_is_the_same_for_any_orthogonal_rows() -> None:
    """METHODS 1.4: hsic is near 1 / (B - 1) whatever the images."""
    one_BN, other_BN = drawn(16, 20000), drawn(16, 20000, seed=1)
    assert hsic(one_BN, other_BN).item() == pytest.approx(1 / 15, rel=0.01)


def test_the_papers_gradient_in_closed_form() -> None:
    """1.1, 2: R = J^T u with u = p * (p - ||p||^2)."""
    network, image_BCHW = smooth_net(), batch_of().image_BCHW.requires_grad_(True)
    gradient_BCHW = softmax_gradient(network(image_BCHW), image_BCHW)
    for image_CHW, gradient_CHW in zip(image_BCHW.detach(), gradient_BCHW, strict=True):
        p_K = network(image_CHW[None])[0].softmax(0).detach()
        u_K = p_K * (p_K - p_K.square().sum())
        expected_CHW = torch.einsum("k,kchw->chw", u_K, jacobian(network, image_CHW))
        torch.testing.assert_close(gradient_CHW.detach(), expected_CHW)


def test_the_papers_loss_is_its_formula() -> None:
    network, batch = smooth_net(), batch_of()
    loss = SibPaper().loss(learner_of(network), batch)
    image_BCHW = batch.image_BCHW.clone().requires_grad_(True)
    gradient_BCHW = softmax_gradient(network(image_BCHW), image_BCHW).detach().numpy()
    mask_BHW = np.stack([oracles.soft_mask(gradient_CHW, 3) for gradient_CHW in gradient_BCHW])
    inside = [
        (value_BCHW * mask_BHW[:, None]).reshape(len(mask_BHW), -1)
        for value_BCHW in (gradient_BCHW, batch.image_BCHW.numpy())
    ]
    variance, dependence = oracles.paper_variance(gradient_BCHW, mask_BHW), oracles.hsic(*inside)
    cross_entropy = Erm().loss(learner_of(network), batch).total.item()
    assert loss.parts["background"].item() == pytest.approx(variance, rel=1e-6)
    assert loss.parts["foreground"].item() == pytest.approx(dependence, rel=1e-6)
    expected = cross_entropy + 1000 * np.exp(variance) + 0.01 * np.exp(-dependence)
    assert loss.total.item() == pytest.approx(expected, rel=1e-12)
