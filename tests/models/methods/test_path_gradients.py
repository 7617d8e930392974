"""Integrated Gradients and SmoothGrad against their papers, Captum, and their identities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as Rival
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor, nn

from models.errors import UserError
from models.methods.gradients import saliency
from models.methods.path_gradients import integrated_gradients, smooth_grad
from models.methods.settings import IntegratedGradientsSettings, SmoothGradSettings
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from tests.support.networks import network_and_images, random_images, tiny_net

TARGET_B = torch.tensor([0, 2, 1, 1, 0])
NETWORKS = ["resnet18", "densenet121", "vit", "swin", "convnext"]


def make_request(count: int = 3, batch_size: int = 8) -> ExplainRequest:
    return ExplainRequest(tiny_net(), random_images(count, 16), TARGET_B[:count], batch_size)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def gradient_of(network: nn.Module, image_CHW: Tensor, target: int) -> Tensor:
    image_1CHW = image_CHW[None].clone().requires_grad_(True)
    (found_1CHW,) = torch.autograd.grad(network(image_1CHW)[0, target], image_1CHW)
    return found_1CHW[0]


def test_integrated_gradients_are_the_integral_of_its_paper() -> None:
    """Sundararajan et al. 2017, equation 1, as a sum of 4,000 small steps in float64."""
    network, image_BCHW = tiny_net().double(), random_images(2, 8).double()
    request = ExplainRequest(network, image_BCHW, TARGET_B[:2])
    for image_CHW, target, map_HW in zip(
        image_BCHW,
        [0, 2],
        integrated_gradients(request, IntegratedGradientsSettings(steps=500)),
        strict=True,
    ):
        path = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
        path_NCHW = (path[:, None, None, None] * image_CHW).requires_grad_(True)
        (found_NCHW,) = torch.autograd.grad(network(path_NCHW)[:, target].sum(), path_NCHW)
        expected_HW = (image_CHW * found_NCHW.mean(0)).sum(0)
        assert relative(map_HW, expected_HW) < 3e-3  # ReLUs switch between nodes


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch_size", [3, 64])
def test_integrated_gradients_agree_with_captum(name: str, batch_size: int) -> None:
    network, image_BCHW = network_and_images(name, size=32)
    request = ExplainRequest(network, image_BCHW, torch.tensor([1, 3]), batch_size)
    ours_BHW = integrated_gradients(request, IntegratedGradientsSettings(steps=7))
    theirs_BCHW = Rival(network).attribute(image_BCHW, target=torch.tensor([1, 3]), n_steps=7)
    assert relative(ours_BHW, theirs_BCHW.sum(1)) < 1e-5


def test_integrated_gradients_add_up_to_the_difference_of_logits() -> None:
    request = make_request()
    map_BHW = integrated_gradients(request, IntegratedGradientsSettings(steps=300))
    with torch.no_grad():
        above_B = request.logit_of(request.image_BCHW, request.target_B)
        below_B = request.logit_of(torch.zeros_like(request.image_BCHW), request.target_B)
    torch.testing.assert_close(map_BHW.sum((1, 2)), above_B - below_B, rtol=1e-3, atol=1e-3)
    assert (map_BHW < 0).any()


@pytest.mark.parametrize("steps", [1, 2, 32])
def test_steps_of_a_linear_network_do_not_matter(steps: int) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 3)).eval()
    image_BCHW = random_images(2, 4)
    request = ExplainRequest(network, image_BCHW, TARGET_B[:2])
    map_BHW = integrated_gradients(request, IntegratedGradientsSettings(steps=steps))
    weight_KCHW = network.get_parameter("1.weight").detach().view(3, 3, 4, 4)
    expected_BHW = (image_BCHW * weight_KCHW[TARGET_B[:2]]).sum(1)
    assert relative(map_BHW, expected_BHW) < 1e-5


def test_smooth_grad_is_the_mean_of_its_paper() -> None:
    """Smilkov et al. 2017: the mean gradient of copies with noise of sigma / (max - min)."""
    settings, request = SmoothGradSettings(draws=6, noise=0.2, seed=3), make_request(batch_size=4)
    generator = torch.Generator().manual_seed(3)
    draws = [torch.randn(3, 16, 16, generator=generator) for _ in range(6)]
    maps = []
    for image_CHW, target in zip(request.image_BCHW, request.target_B.tolist(), strict=True):
        deviation = 0.2 * (image_CHW.max() - image_CHW.min())
        copies = [image_CHW + deviation * draw_CHW for draw_CHW in draws]
        found = [gradient_of(request.network, copy, target) for copy in copies]
        maps.append(torch.stack(found).mean(0).abs().amax(0))
    assert relative(smooth_grad(request, settings), torch.stack(maps)) < 1e-5


def test_one_draw_without_noise_is_saliency() -> None:
    request = make_request()
    gradient_BCHW = request.gradient_of(request.image_BCHW, request.target_B)
    expected_BHW = saliency(request.image_BCHW, gradient_BCHW)
    assert torch.equal(smooth_grad(request, SmoothGradSettings(draws=1, noise=0)), expected_BHW)
    several_BHW = smooth_grad(request, SmoothGradSettings(draws=5, noise=0))
    assert relative(several_BHW, expected_BHW) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_smooth_grad_agrees_with_captum_for_the_noise_that_it_draws(name: str) -> None:
    """Captum's noise has one deviation for a batch, and torch's global state draws it."""
    network, image_BCHW = network_and_images(name, count=1, size=32)
    ours_BHW = smooth_grad(
        ExplainRequest(network, image_BCHW, torch.tensor([1])), SmoothGradSettings(draws=4, seed=7)
    )
    deviation = 0.15 * float(image_BCHW.max() - image_BCHW.min())
    with torch.random.fork_rng():
        torch.manual_seed(7)
        theirs_BCHW = NoiseTunnel(Saliency(network)).attribute(
            image_BCHW, nt_samples=4, nt_samples_batch_size=1, stdevs=deviation, target=1, abs=False
        )
    assert relative(ours_BHW, theirs_BCHW.abs().amax(1)) < 1e-4


Method = Callable[[ExplainRequest], Tensor]
METHODS: dict[str, Method] = {
    "integrated_gradients": lambda make_request: integrated_gradients(
        make_request, IntegratedGradientsSettings(5)
    ),
    "smooth_grad": lambda make_request: smooth_grad(make_request, SmoothGradSettings(draws=5)),
}
both = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@both
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_an_image_depends_on_neither_batch_nor_batch_size(method: Method, batch_size: int) -> None:
    request = make_request(5, batch_size=8)
    alone = ExplainRequest(request.network, request.image_BCHW[3:4], TARGET_B[3:4], batch_size)
    assert relative(method(alone), method(request)[3:4]) < 1e-5


@both
def test_passes_fit_the_batch_size_and_the_declared_cost(method: Method) -> None:
    for batch_size in (1, 4, 64):
        calls: list[int] = []
        request = make_request(batch_size=batch_size)
        request.network.register_forward_pre_hook(
            lambda _, args, calls=calls: calls.append(len(args[0]))
        )
        with torch.no_grad(), as_found(request.network):
            map_BHW = method(request)
        assert max(calls) <= batch_size
        assert sum(calls) == 3 * 5
        assert not map_BHW.requires_grad
        assert map_BHW.dtype == torch.float32


@both
def test_channels_last_gives_the_same_and_reaches_the_network(method: Method) -> None:
    request, network = make_request(), tiny_net().to(memory_format=torch.channels_last)
    are_channels_last: list[bool] = []
    network.register_forward_pre_hook(
        lambda _, args: are_channels_last.append(
            args[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    last_BCHW = request.image_BCHW.contiguous(memory_format=torch.channels_last)
    map_BHW = method(ExplainRequest(network, last_BCHW, request.target_B, 64))
    assert all(are_channels_last)
    assert relative(map_BHW, method(request)) < 1e-5


@both
def test_global_state_is_untouched_and_nan_stays_in_its_own_map(method: Method) -> None:
    request = make_request()
    request.image_BCHW[1, 0, 3, 3] = torch.nan
    before, of_numpy = torch.random.get_rng_state(), repr(np.random.get_state())
    map_BHW = method(request)
    assert relative(map_BHW[[0, 2]], method(make_request())[[0, 2]]) < 1e-5
    assert torch.equal(torch.random.get_rng_state(), before)
    assert repr(np.random.get_state()) == of_numpy


@both
def test_a_network_without_a_gradient_is_refused(method: Method) -> None:

    def answer(image_NCHW: Tensor) -> Tensor:
        return image_NCHW.detach().mean((2, 3))

    request = ExplainRequest(answer, random_images(2, 8), TARGET_B[:2])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="choose --methods without one"):
        method(request)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (
            IntegratedGradientsSettings,
            {"steps": 0},
            "integrated_gradients: steps=0: it must be from 1 to 1,000,000",
        ),
        (
            SmoothGradSettings,
            {"draws": -1},
            "smooth_grad: draws=-1: it must be from 1 to 1,000,000",
        ),
        (
            SmoothGradSettings,
            {"noise": -0.1},
            "smooth_grad: noise=-0.1: it must be from 0 to 1e+06",
        ),
        (
            SmoothGradSettings,
            {"noise": float("nan")},
            "smooth_grad: noise=nan: it must be from 0 to 1e+06",
        ),
    ],
)
def test_settings_without_copies_are_refused(
    kind: type, settings: dict[str, float], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        kind(**settings)
    assert str(caught.value) == words
