"""IBA: its loop written down again for one image, its capacity, and its settings."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import UserError
from models.methods.iba import iba, nats
from models.methods.settings import IbaSettings
from models.methods.smoothing import smooth, smoothing_matrix
from models.network.capture import as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.statistics import Moments, Statistics
from tests.support.networks import random_images, tiny_net

LAST = Grid("last", 8, 8)
TARGET_B = torch.tensor([0, 2, 1])


def statistics_of(network: nn.Module) -> Statistics:
    captured = capture(network, LAST, random_images(30, 16))
    return Moments.of(captured.activation_BDhw).statistics()


def explained(
    network: nn.Module, image_BCHW: Tensor, settings: IbaSettings, batch_size: int = 64
) -> Tensor:
    request = ExplainRequest(
        network, image_BCHW, TARGET_B[: len(image_BCHW)], batch_size, LAST, statistics_of(network)
    )
    with as_found(network):
        return iba(request, settings)


def literal(
    network: nn.Module, image_CHW: Tensor, target: int, settings: IbaSettings, of: Statistics
) -> Tensor:
    """Schulz et al. 2020, section 3.1, for one image by full passes with the layer replaced."""
    r_Dhw = capture(network, LAST, image_CHW[None]).activation_BDhw[0]
    alpha_Dhw = torch.full_like(r_Dhw, 5.0).requires_grad_(True)
    optimiser = torch.optim.Adam([alpha_Dhw], lr=settings.rate)
    generator = torch.Generator().manual_seed(settings.seed)
    nats_Dhw = torch.zeros_like(r_Dhw)
    layer = network.get_submodule(LAST.layer)
    for _ in range(settings.steps):
        lambda_Dhw = gauss(alpha_Dhw.sigmoid(), settings.sigma).clamp(max=1 - 1e-6)
        normal_Dhw = (r_Dhw - of.mean_Dhw) / of.deviation_Dhw
        # KL between normals of mean lambda r + (1 - lambda) mu and deviation (1 - lambda) sigma,
        # and mu, sigma: equation 6.
        nats_Dhw = 0.5 * (
            (lambda_Dhw * normal_Dhw) ** 2
            + (1 - lambda_Dhw) ** 2
            - 1
            - torch.log((1 - lambda_Dhw) ** 2)
        )
        nats_Dhw = nats_Dhw * of.active_Dhw
        loss = settings.beta * nats_Dhw.mean()
        for _ in range(settings.copies):
            noise_Dhw = torch.randn(r_Dhw.shape, generator=generator)
            noise_Dhw = of.mean_Dhw + of.deviation_Dhw * noise_Dhw
            z_Dhw = (lambda_Dhw * r_Dhw + (1 - lambda_Dhw) * noise_Dhw) * of.active_Dhw
            handle = layer.register_forward_hook(lambda *_, z=z_Dhw: z[None])
            logits_1K = network(image_CHW[None])
            handle.remove()
            loss = loss - logits_1K.log_softmax(1)[0, target] / settings.copies
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return nats_Dhw.detach().sum(0) / math.log(2)


def gauss(value_Dhw: Tensor, sigma: float) -> Tensor:
    """5 x 5 cells, reflected, as the authors' code has it for sigma 1."""
    reach = round(2 * sigma)
    away = torch.arange(-reach, reach + 1).float()
    weight = torch.exp(-(away**2) / (2 * sigma**2))
    kernel = torch.outer(weight, weight) / weight.sum() ** 2
    padded = functional.pad(value_Dhw[:, None], (reach,) * 4, mode="reflect")
    return functional.conv2d(padded, kernel[None, None])[:, 0]


def test_it_is_the_papers_loop_image_by_image() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    settings = IbaSettings(steps=5, copies=3)
    map_Bhw = explained(network, image_BCHW, settings)
    of = statistics_of(network)
    network.requires_grad_(False)
    for map_hw, image_CHW, target in zip(map_Bhw, image_BCHW, TARGET_B.tolist(), strict=True):
        expected_hw = literal(network, image_CHW, target, settings, of)
        torch.testing.assert_close(map_hw, expected_hw, rtol=1e-3, atol=1e-3)


def test_the_batch_size_changes_nothing() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    together, few = (
        explained(network, image_BCHW, IbaSettings(), batch_size) for batch_size in (64, 2)
    )
    torch.testing.assert_close(together, few, rtol=0, atol=1e-5 * float(together.max()))


def test_nothing_passes_where_lambda_is_zero() -> None:
    value_BDhw = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    of = Statistics(torch.zeros(3, 4, 4), torch.ones(3, 4, 4), torch.ones(3, 4, 4).bool())
    assert not nats(torch.zeros(2, 3, 4, 4), value_BDhw, of).any()
    passed = nats(torch.full((2, 3, 4, 4), 0.5), value_BDhw, of)
    assert (passed > 0).all()


def test_inactive_elements_pass_nothing() -> None:
    of = Statistics(torch.zeros(1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[[True, False]]]))
    passed = nats(torch.full((1, 1, 1, 2), 0.5), torch.ones(1, 1, 1, 2), of)
    assert passed.flatten().tolist() == [passed.max().item(), 0.0]


def test_a_larger_beta_lets_less_pass() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    cheap, dear = (explained(network, image_BCHW, IbaSettings(beta=beta)) for beta in (0.1, 100.0))
    assert (dear.sum((1, 2)) < cheap.sum((1, 2))).all()
    assert (dear >= 0).all()


@pytest.mark.parametrize("cells", [1, 2, 3, 8])
def test_a_smoothing_keeps_what_is_the_same_everywhere(cells: int) -> None:
    torch.testing.assert_close(smoothing_matrix(cells, 1.0).sum(1), torch.ones(cells))
    even = torch.full((2, cells, cells), 0.3)
    torch.testing.assert_close(smooth(even, 1.0), even)
    if cells > 2:
        value = torch.rand(2, cells, cells, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(smooth(value, 1.0), gauss(value, 1.0))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", 0, "iba: steps=0: it must be from 1 to 1,000,000"),
        ("copies", 0, "iba: copies=0: it must be from 1 to 1,000,000"),
        ("beta", 0.0, r"iba: beta=0\.0: it must be above 0"),
        ("sigma", -1.0, r"iba: sigma=-1\.0: it must be from 0 \(no smoothing\) to 1,024"),
    ],
)
def test_invalid_settings_are_refused_in_one_line(name: str, value: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        IbaSettings(**{name: value})  # type: ignore[arg-type]
