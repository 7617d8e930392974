"""IBISA: written down again picture by picture, within its passes, on any callable."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.errors import UserError
from models.map_quality.localisation import foreground_share
from models.methods.ibisa import ibisa
from models.methods.settings import IbisaSettings
from models.methods.smoothing import blur
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from tests.support.networks import random_images, tiny_net

TARGET_B = torch.tensor([0, 2, 1])


def literal(network: nn.Module, image_CHW: Tensor, target: int, settings: IbisaSettings) -> Tensor:
    """One image, step by step, every gradient by autograd through the whole step."""
    side, generator = settings.cells, torch.Generator().manual_seed(settings.seed)
    weights = [math.exp(-(away**2) / (2 * settings.sigma**2)) for away in (-2, -1, 0, 1, 2)]

    def smoothed(value_ss: Tensor) -> Tensor:
        for dim in (0, 1):
            index = [
                [min(abs(cell + away), 2 * (side - 1) - abs(cell + away)) for cell in range(side)]
                for away in (-2, -1, 0, 1, 2)
            ]
            parts = [
                weight / sum(weights) * value_ss.index_select(dim, torch.tensor(row))
                for weight, row in zip(weights, index, strict=True)
            ]
            value_ss = torch.stack(parts).sum(0)
        return value_ss

    theta_ss, mean_ss, square = torch.zeros(side, side), torch.zeros(side, side), 0.0
    map_ss = torch.zeros(side, side)
    for step in range(settings.steps):
        theta_ss = theta_ss.detach().requires_grad_(True)
        u_ss = torch.rand(side, side, generator=generator).clamp(1e-6, 1 - 1e-6)
        pi_ss = smoothed(theta_ss).sigmoid()
        mask_ss = (smoothed(theta_ss) + (u_ss / (1 - u_ss)).log()).sigmoid()
        mask_ss.retain_grad()
        mask_HW = interpolate(mask_ss[None, None], image_CHW.shape[1:], mode="bilinear")[0, 0]
        rest_CHW = blur(image_CHW[None])[0] if step % 2 else torch.zeros_like(image_CHW)
        keeps = step % 4 in (0, 1)
        kept_HW = mask_HW if keeps else 1 - mask_HW
        logits_K = network((kept_HW * image_CHW + (1 - kept_HW) * rest_CHW)[None])[0]
        probability = logits_K.softmax(0)[target]
        cost = -probability.log() if keeps else -(1 - probability).log()
        (cost + settings.beta * pi_ss.mean()).backward()
        assert mask_ss.grad is not None
        assert theta_ss.grad is not None
        map_ss += smoothed(-mask_ss.grad).clamp(min=0) * pi_ss.detach()
        mean_ss = 0.9 * mean_ss + 0.1 * theta_ss.grad
        square = 0.999 * square + 0.001 * float(theta_ss.grad.square().mean())
        scale = math.sqrt(square / (1 - 0.999 ** (step + 1)))
        theta_ss = theta_ss.detach() - settings.rate * mean_ss / (1 - 0.9 ** (step + 1)) / scale
    return map_ss - map_ss.min()


def explained(
    network: nn.Module, image_BCHW: Tensor, settings: IbisaSettings, batch_size: int = 64
) -> Tensor:
    target_B = TARGET_B[: len(image_BCHW)]
    with as_found(network):
        return ibisa(ExplainRequest(network, image_BCHW, target_B, batch_size), settings)


def test_it_is_its_definition_image_by_image() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    settings = IbisaSettings(steps=6, cells=8)
    map_Bss = explained(network, image_BCHW, settings)
    network.requires_grad_(False)
    for map_ss, image_CHW, target in zip(map_Bss, image_BCHW, TARGET_B.tolist(), strict=True):
        expected_ss = literal(network, image_CHW, target, settings)
        largest = float(expected_ss.max())
        torch.testing.assert_close(map_ss, expected_ss, rtol=0, atol=2e-3 * largest)


def test_it_passes_each_image_ten_times_forward_and_ten_times_back() -> None:
    network = tiny_net()
    passes = {"forward": 0, "backward": 0}

    def forward(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        passes["forward"] += len(given[0])
        output.register_hook(  # type: ignore[no-untyped-call]
            lambda slope: passes.update(backward=passes["backward"] + len(slope))
        )

    network.fc.register_forward_hook(forward)
    explained(network, random_images(3, 16), IbisaSettings())
    assert passes == {"forward": 30, "backward": 30}


def test_the_batch_size_changes_nothing() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    together, alone = (
        explained(network, image_BCHW, IbisaSettings(), batch_size) for batch_size in (64, 1)
    )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5 * float(together.max()))


class Corner(nn.Module):
    """Answers by the brightness of the upper left quarter."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        side = image_BCHW.shape[2] // 2
        bright_B = image_BCHW[:, :, :side, :side].mean((1, 2, 3))
        return torch.stack([4 * bright_B, -4 * bright_B, torch.zeros_like(bright_B)], 1)


def test_a_bare_callable_that_reads_one_corner_is_explained_by_that_corner() -> None:
    image_BCHW = random_images(2, 32).abs()
    corner_Bhw = torch.zeros(2, 32, 32)
    corner_Bhw[:, :16, :16] = 1
    request = ExplainRequest(Corner(), image_BCHW, torch.zeros(2, dtype=torch.long))
    map_Bss = ibisa(request, IbisaSettings(cells=32))
    assert (foreground_share(map_Bss, corner_Bhw) > 0.85).all()  # smooth at its edge
    assert (map_Bss.flatten(1).amin(1) == 0).all()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_constant_and_certain_pictures_give_finite_maps(scale: float) -> None:
    network = tiny_net()
    with torch.no_grad():
        network.fc.weight *= scale
    constant_BCHW = torch.full((1, 3, 16, 16), 0.5)
    for image_BCHW in (random_images(1, 16), constant_BCHW, torch.zeros(1, 3, 16, 16)):
        assert explained(network, image_BCHW, IbisaSettings()).isfinite().all()


def test_nan_stays_nan() -> None:
    image_BCHW = random_images(2, 16)
    image_BCHW[0, 0, 3, 3] = torch.nan
    map_Bss = explained(tiny_net(), image_BCHW, IbisaSettings())
    assert map_Bss[0].isnan().any()
    assert map_Bss[1].isfinite().all()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", 0, "ibisa: steps=0: it must be from 1 to 1,000,000"),
        ("cells", 0, "ibisa: cells=0: it must be from 1 to 1,024"),
        ("beta", 0.0, r"ibisa: beta=0\.0: it must be above 0"),
        ("rate", math.nan, "ibisa: rate=nan: it must be above 0"),
        ("sigma", -1.0, r"ibisa: sigma=-1\.0: it must be from 0 \(no smoothing\) to 1,024"),
    ],
)
def test_invalid_settings_are_refused_in_one_line(name: str, value: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        IbisaSettings(**{name: value})  # type: ignore[arg-type]
