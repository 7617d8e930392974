"""Each CAM against its paper, against two libraries, and its identities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import pytorch_grad_cam as rival
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import Tensor, nn

from models.methods import cam
from models.methods.registry import LAYER_METHODS, PASS_METHODS
from models.network.capture import capture
from models.network.grid import Grid
from models.network.layers import grid_of
from tests.support import method_oracles
from tests.support.networks import network_and_images

Cam = Callable[[Tensor, Tensor], Tensor]
CAMS: dict[str, Cam] = {name: getattr(cam, name) for name in LAYER_METHODS}
SEEDS = st.integers(0, 2**31)
SHAPES = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)
)  # B D h w
few = settings(max_examples=40)


def draw(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Activations and gradients of both signs, with the exact zeros that a ReLU leaves."""
    generator = torch.Generator().manual_seed(seed)
    activation = torch.randn(shape, generator=generator, dtype=torch.float64)
    gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
    kept = torch.rand(shape, generator=generator) > 0.2
    return activation.relu() if seed % 2 else activation, gradient * kept


def normalised(map_Bhw: Tensor) -> Tensor:
    return map_Bhw / map_Bhw.amax((1, 2), keepdim=True).clamp(min=1e-30)


@pytest.mark.parametrize("name", CAMS)
@given(shape=SHAPES, seed=SEEDS)
@few
def test_each_cam_is_what_its_paper_says(name: str, shape: tuple[int, ...], seed: int) -> None:
    activation_BDhw, gradient_BDhw = draw(shape, seed)
    oracle = getattr(method_oracles, name)
    expected = [
        oracle(a, g) for a, g in zip(activation_BDhw.numpy(), gradient_BDhw.numpy(), strict=True)
    ]
    map_Bhw = CAMS[name](activation_BDhw, gradient_BDhw)
    np.testing.assert_allclose(map_Bhw, np.stack(expected), rtol=1e-6, atol=1e-9)


@given(shape=SHAPES, seed=SEEDS)
@few
def test_grad_cam_is_hires_cam_where_the_gradient_is_the_same_in_all_cells(
    shape: tuple[int, ...], seed: int
) -> None:
    activation_BDhw, gradient_BDhw = draw(shape, seed)
    even_BDhw = gradient_BDhw[:, :, :1, :1].expand(shape)
    torch.testing.assert_close(
        cam.grad_cam(activation_BDhw, even_BDhw), cam.hires_cam(activation_BDhw, even_BDhw)
    )


@given(shape=SHAPES, seed=SEEDS)
@few
def test_layer_cam_is_hires_cam_where_no_gradient_is_negative(
    shape: tuple[int, ...], seed: int
) -> None:
    activation_BDhw, gradient_BDhw = draw(shape, seed)
    positive_BDhw = gradient_BDhw.abs()
    torch.testing.assert_close(
        cam.layer_cam(activation_BDhw, positive_BDhw), cam.hires_cam(activation_BDhw, positive_BDhw)
    )


@pytest.mark.parametrize("name", sorted(CAMS.keys() - {"grad_cam_pp"}))
@given(seed=SEEDS)
@few
def test_twice_the_logit_is_twice_the_map(name: str, seed: int) -> None:
    activation_BDhw, gradient_BDhw = draw((2, 3, 3, 3), seed)
    torch.testing.assert_close(
        CAMS[name](activation_BDhw, 2 * gradient_BDhw),
        2 * CAMS[name](activation_BDhw, gradient_BDhw),
    )


@pytest.mark.parametrize("name", CAMS)
@given(seed=SEEDS)
@few
def test_the_unit_of_an_activation_does_not_matter(name: str, seed: int) -> None:
    """Activations times 8 have gradients divided by 8: the network and its map are the same."""
    activation_BDhw, gradient_BDhw = draw((2, 3, 3, 3), seed)
    torch.testing.assert_close(
        CAMS[name](8 * activation_BDhw, gradient_BDhw / 8),
        CAMS[name](activation_BDhw, gradient_BDhw),
    )


@pytest.mark.parametrize("scale", [1e-6, 1e-12])
def test_grad_cam_pp_of_tiny_gradients_does_not_depend_on_their_size(scale: float) -> None:
    """In general it does: alpha is 1 / (2 + g sum(A)). Where that is 1 / 2, only an epsilon would.

    No invariance to the logits' scale is claimed, since the method has none.
    """
    activation_BDhw, gradient_BDhw = draw((4, 5, 4, 4), seed=1)
    torch.testing.assert_close(
        normalised(cam.grad_cam_pp(activation_BDhw, scale * gradient_BDhw)),
        normalised(cam.grad_cam_pp(activation_BDhw, 1e-9 * gradient_BDhw)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_grad_cam_pp_stays_finite_where_its_denominator_is_zero() -> None:
    activation_BDhw = torch.full((1, 1, 1, 2), -1.0)  # sum(A) = -2, so 2 + g sum(A) = 0
    map_Bhw = cam.grad_cam_pp(activation_BDhw, torch.ones(1, 1, 1, 2))
    assert map_Bhw.isfinite().all()


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_grad_cam_pp_follows_from_the_derivatives_of_the_exponential(shift: float) -> None:
    """The paper's equation 10 with Y = exp(S), by automatic differentiation of a linear head.

    exp(S), and with it a shift of all logits, only rescales the map.
    """
    generator = torch.Generator().manual_seed(0)
    activation_Dhw = torch.rand(3, 2, 2, generator=generator, dtype=torch.float64)
    head_Dhw = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    map_hw = torch.zeros(2, 2, dtype=torch.float64)
    for d in range(3):
        weight = 0.0
        for i in range(2):
            for j in range(2):
                first, second, third = _derivatives(activation_Dhw, head_Dhw, (d, i, j), shift)
                alpha = second / (2 * second + float(activation_Dhw[d].sum()) * third)
                weight += alpha * max(first, 0.0)
        map_hw += weight * activation_Dhw[d]
    expected_Bhw = normalised(map_hw.relu()[None])
    map_Bhw = cam.grad_cam_pp(activation_Dhw[None], head_Dhw[None])
    torch.testing.assert_close(normalised(map_Bhw), expected_Bhw)


def _derivatives(
    activation_Dhw: Tensor, head_Dhw: Tensor, at: tuple[int, int, int], shift: float
) -> tuple[float, float, float]:
    """First, second and third of exp(sum(A * head) + shift) with respect to one cell of A."""
    cell = activation_Dhw[at].clone().requires_grad_(True)
    rest = (activation_Dhw * head_Dhw).sum() - activation_Dhw[at] * head_Dhw[at]
    value = (rest + cell * head_Dhw[at] + shift).exp()
    found = []
    for _ in range(3):
        (value,) = torch.autograd.grad(value, cell, create_graph=True)
        found.append(value.item())
    return found[0], found[1], found[2]


RIVALS = {
    "grad_cam": rival.GradCAM,
    "grad_cam_pp": rival.GradCAMPlusPlus,
    "hires_cam": rival.HiResCAM,
    "layer_cam": rival.LayerCAM,
}
PLACES = [
    ("resnet18", "layer4"),
    ("resnet18", "layer3"),  # no pooling follows: the gradient differs from cell to cell
    ("mobilenet_v3_small", "features"),
    ("densenet121", "features.transition3"),
]


TOKENS = [
    ("vit", "encoder.layers.encoder_layer_2.ln_1"),
    ("vit", "encoder.layers.encoder_layer_0"),
    ("vit_registers", "blocks.2.norm1"),
    ("vit_first", "encoder.layers.2.norm1"),
    ("swin", "norm"),
    ("swin", "features.1"),
    ("convnext", "features"),
]


class Louder(nn.Module):
    """Logits times 100,000: pytorch-grad-cam adds 1e-6 to Grad-CAM++'s denominator, as large as the
    squared gradients of a random network; both sides see the same louder network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = 1e5 * self.network(image_BCHW)
        return logits_BK


@pytest.mark.parametrize(("architecture", "layer"), PLACES + TOKENS)
def test_all_cams_agree_with_pytorch_grad_cam(architecture: str, layer: str) -> None:
    network, image_BCHW = network_and_images(architecture, count=3, size=96)
    network = Louder(network).eval()
    grid = grid_of(network, f"network.{layer}", image_BCHW)
    captured = capture(network, grid, image_BCHW)
    layers, size = [network.get_submodule(grid.layer)], image_BCHW.shape[2:]
    for name, theirs in RIVALS.items():
        with theirs(network, layers, reshape_transform=grid.arrange) as explainer:
            expected_BHW = explainer(image_BCHW, targets=None)
        ours_Bhw = PASS_METHODS[name].map_Bhw(captured).numpy()
        ours_BHW = scale_cam_image(ours_Bhw, size)  # their normalisation and enlargement
        assert ours_Bhw.max() > 0, name
        np.testing.assert_allclose(scale_cam_image(ours_BHW), expected_BHW, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("architecture", "layer"), PLACES)
def test_grad_cam_agrees_with_captum(architecture: str, layer: str) -> None:
    network, image_BCHW = network_and_images(architecture, count=3, size=96)
    target_B = torch.tensor([1, 5, 1])
    captured = capture(network, grid_of(network, layer, image_BCHW), image_BCHW, target_B)
    theirs = LayerGradCam(network, network.get_submodule(layer))
    expected_B1hw = theirs.attribute(image_BCHW, target=target_B, relu_attributions=True)
    torch.testing.assert_close(
        normalised(PASS_METHODS["grad_cam"].map_Bhw(captured)),
        normalised(expected_B1hw[:, 0].detach()),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize(("name", "layer"), TOKENS)
def test_all_cams_on_tokens_are_what_their_papers_say(name: str, layer: str) -> None:
    """From the gradient that the ordinary graph gives, token by token."""
    network, image_BCHW = network_and_images(name)
    grid = grid_of(network, layer, image_BCHW)
    target_B = torch.tensor([3, 1])
    captured = capture(network, grid, image_BCHW, target_B)
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda *call: kept.append(call[2]))
    logits_BK = network(image_BCHW)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits_BK[0, 3] + logits_BK[1, 1], kept[0])
    for index in range(2):
        activation_Dhw, gradient_Dhw = (
            _cells(value.detach(), grid, index).double().numpy() for value in (kept[0], gradient)
        )
        for method in LAYER_METHODS:
            expected_hw = getattr(method_oracles, method)(activation_Dhw, gradient_Dhw)
            ours_hw = PASS_METHODS[method].map_Bhw(captured)[index]
            np.testing.assert_allclose(
                ours_hw, expected_hw, rtol=1e-3, atol=1e-5 * expected_hw.max(), err_msg=method
            )


def _cells(output: Tensor, grid: Grid, index: int) -> Tensor:
    """One image's (D, h, w), cell by cell."""
    if grid.layout == "BDhw":
        return output[index]
    cells_Dhw = torch.zeros(output.shape[-1], grid.rows, grid.columns)
    for row in range(grid.rows):
        for column in range(grid.columns):
            token = grid.prefix + row * grid.columns + column
            if grid.layout == "BhwD":
                cells_Dhw[:, row, column] = output[index, row, column]
            elif grid.layout == "BTD":
                cells_Dhw[:, row, column] = output[index, token]
            else:
                cells_Dhw[:, row, column] = output[token, index]
    return cells_Dhw


@pytest.mark.parametrize(("name", "layer"), TOKENS)
def test_hires_cam_on_tokens_agrees_with_captum(name: str, layer: str) -> None:
    network, image_BCHW = network_and_images(name, count=3)
    grid = grid_of(network, layer, image_BCHW)
    target_B = torch.tensor([1, 0, 3])
    theirs = LayerGradientXActivation(network, network.get_submodule(layer))
    product = theirs.attribute(image_BCHW, target=target_B).detach()
    torch.testing.assert_close(
        PASS_METHODS["hires_cam"].map_Bhw(capture(network, grid, image_BCHW, target_B)),
        grid.arrange(product).sum(1).relu(),
        rtol=1e-4,
        atol=1e-5,
    )
