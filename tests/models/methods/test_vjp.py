"""The vector-Jacobian product against autograd in float64, its closed form, and its limits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.settings import FORMS, Form, VjpSettings
from models.methods.vjp import softmax_cotangent, vjp
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from tests.support.networks import network_and_images, random_images, tiny_net

TARGET_B = torch.tensor([0, 2, 1, 1, 0])
each_form = pytest.mark.parametrize("form", FORMS)


def make_request(count: int = 3, batch_size: int = 8) -> ExplainRequest:
    return ExplainRequest(tiny_net(), random_images(count, 16), TARGET_B[:count], batch_size)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def score(logits_BK: Tensor, target_B: Tensor, form: Form) -> Tensor:
    """What each form is the gradient of, in words of METHODS 1.1 and 1.6."""
    if form == "softmax":
        return 0.5 * logits_BK.softmax(1).square().sum()
    total = logits_BK.new_zeros(())
    for logits_K, target in zip(logits_BK, target_B.tolist(), strict=True):
        others = [logit for index, logit in enumerate(logits_K) if index != target]
        total = total + logits_K[target]
        if form == "margin":
            total = total - torch.stack(others).mean()
    return total


def literal(
    network: nn.Module, image_BCHW: Tensor, target_B: Tensor, form: Form, times: float = 1
) -> Tensor:
    """Autograd of the score in float64; the logits are multiplied first."""
    image_BCHW = image_BCHW.double().requires_grad_(True)
    logits_BK = times * network.double()(image_BCHW)
    (found_BCHW,) = torch.autograd.grad(score(logits_BK, target_B, form), image_BCHW)
    return found_BCHW.mean(1)


@each_form
@pytest.mark.parametrize("name", ["tiny", "resnet18", "vit", "swin"])
def test_each_form_is_the_gradient_of_its_score(name: str, form: Form) -> None:
    network, image_BCHW = (
        (tiny_net(), random_images(2, 16)) if name == "tiny" else network_and_images(name)
    )
    map_BHW = vjp(ExplainRequest(network, image_BCHW, TARGET_B[:2]), VjpSettings(form))
    assert map_BHW.dtype == torch.float32
    assert relative(map_BHW, literal(network, image_BCHW, TARGET_B[:2], form)) < 1e-4


def test_the_cotangent_is_its_closed_form() -> None:
    """p * (p - |p|^2), and the gradient of |p|^2 / 2."""
    logits_BK = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)).double() * 3
    logits_BK.requires_grad_(True)
    probability_BK = logits_BK.softmax(1)
    (found_BK,) = torch.autograd.grad(0.5 * probability_BK.square().sum(), logits_BK)
    p_BK = probability_BK.detach().numpy()
    closed_BK = p_BK * (p_BK - np.square(p_BK).sum(1, keepdims=True))
    ours_BK = softmax_cotangent(logits_BK.detach(), TARGET_B).numpy()
    np.testing.assert_allclose(ours_BK, closed_BK, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ours_BK, found_BK.numpy(), rtol=1e-9, atol=1e-14)


def exact_cotangent(logits_K: Tensor) -> list[Decimal]:
    """p * (p - |p|^2) with 500 digits."""
    with localcontext(prec=500):
        powers = [Decimal(logit).exp() for logit in logits_K.tolist()]
        p_K = [power / sum(powers) for power in powers]
        square = sum(p * p for p in p_K)
        return [p * (p - square) for p in p_K]


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 10.0, 40.0, 200.0])
def test_the_cotangent_is_exact_for_any_certainty(scale: float) -> None:
    """Where p and |p|^2 are both nearly 1 or nearly the same, their difference is still right."""
    logits_BK = torch.randn(20, 6, generator=torch.Generator().manual_seed(1)).double() * scale
    ours_BK = softmax_cotangent(logits_BK, TARGET_B)
    for logits_K, ours_K in zip(logits_BK, ours_BK.tolist(), strict=True):
        exact = exact_cotangent(logits_K)
        largest = max(abs(value) for value in exact)
        assert all(
            abs(Decimal(ours) - value) <= Decimal("1e-12") * largest
            for ours, value in zip(ours_K, exact, strict=True)
        )


class Sure(nn.Module):
    """The same network with logits many times as far apart."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.inner, self.times = tiny_net(), times

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.times * self.inner(image_BCHW)
        return logits_BK


@pytest.mark.parametrize("times", [1e-4, 100.0, 300.0])
def test_very_sure_and_unsure_networks_have_the_map_of_float64(times: float) -> None:
    image_BCHW = random_images(2, 16)
    expected_BHW = literal(tiny_net(), image_BCHW, TARGET_B[:2], "softmax", times)
    map_BHW = vjp(ExplainRequest(Sure(times), image_BCHW, TARGET_B[:2]), VjpSettings())
    assert (expected_BHW.abs().amax((1, 2)) > 0).all()
    for ours_HW, theirs_HW in zip(map_BHW, expected_BHW, strict=True):
        assert relative(ours_HW, theirs_HW) < 1e-4


def test_a_direction_survives_where_its_length_does_not_fit_float32() -> None:
    image_BCHW, network = random_images(2, 16), Sure(2500.0)
    map_BHW = vjp(ExplainRequest(network, image_BCHW, TARGET_B[:2]), VjpSettings())
    assert map_BHW.isfinite().all()
    image_BCHW = image_BCHW.double().requires_grad_(True)
    for image, logits_K in enumerate(network.double()(image_BCHW)):
        exact = exact_cotangent(logits_K.detach())
        largest = max(abs(value) for value in exact)
        assert 0 < largest < Decimal("1e-46")  # float32 ends there
        unit_K = torch.tensor([float(value / largest) for value in exact], dtype=torch.float64)
        (found_BCHW,) = torch.autograd.grad(logits_K, image_BCHW, unit_K, retain_graph=True)
        expected_HW = found_BCHW[image].mean(0)
        ours_HW = map_BHW[image]
        assert ours_HW.abs().max() > 0
        assert relative(ours_HW / ours_HW.abs().max(), expected_HW / expected_HW.abs().max()) < 1e-4


def test_equal_logits_give_a_map_of_zeros() -> None:
    network = tiny_net()
    with torch.no_grad():
        network.fc.weight.copy_(network.fc.weight[:1].expand(3, -1))
        network.fc.bias.zero_()
    map_BHW = vjp(ExplainRequest(network, random_images(2, 16), TARGET_B[:2]), VjpSettings())
    assert map_BHW.abs().max() < 1e-20


def test_the_label_enters_other_forms_only() -> None:
    request = make_request()
    other = ExplainRequest(request.network, request.image_BCHW, (request.target_B + 1) % 3)
    assert torch.equal(vjp(request, VjpSettings()), vjp(other, VjpSettings()))
    for form in ("logit", "margin"):
        assert relative(vjp(request, VjpSettings(form)), vjp(other, VjpSettings(form))) > 0.1


def test_the_logit_form_is_the_mean_gradient() -> None:
    request = make_request()
    gradient_BCHW = request.gradient_of(request.image_BCHW, request.target_B)
    assert relative(vjp(request, VjpSettings("logit")), gradient_BCHW.mean(1)) < 1e-6


@each_form
def test_one_pass_per_image_within_the_batch_size(form: Form) -> None:
    request, calls = make_request(5, batch_size=2), []
    request.network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    with torch.no_grad(), as_found(request.network):
        map_BHW = vjp(request, VjpSettings(form))
    assert calls == [2, 2, 1]
    assert not map_BHW.requires_grad


@each_form
def test_an_image_does_not_depend_on_its_batch(form: Form) -> None:
    request = make_request(5)
    alone = ExplainRequest(request.network, request.image_BCHW[3:4], TARGET_B[3:4])
    assert relative(vjp(alone, VjpSettings(form)), vjp(request, VjpSettings(form))[3:4]) < 1e-5


def test_nan_in_a_logit_is_in_its_own_map() -> None:
    request = make_request()
    request.image_BCHW[1, 0, 3, 3] = torch.nan
    map_BHW = vjp(request, VjpSettings())
    assert map_BHW[1].isnan().any()
    assert map_BHW[[0, 2]].isfinite().all()


def test_a_network_without_a_gradient_is_refused() -> None:
    def answer(image_NCHW: Tensor) -> Tensor:
        return image_NCHW.detach().mean((2, 3))

    request = ExplainRequest(answer, random_images(2, 8), TARGET_B[:2])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="choose --methods without one"):
        vjp(request, VjpSettings())


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        VjpSettings("soft")  # type: ignore[arg-type]
    assert str(caught.value) == "vjp: form=soft: known are 'softmax', 'logit', 'margin'"
