"""Maps of pixels against their papers, against captum, and their identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, Saliency
from torch import Tensor, nn

from models.methods import gradients
from models.methods.registry import PASS_METHODS
from models.network.capture import Capture, capture
from models.network.grid import Grid
from models.network.layers import find_grid
from tests.support import method_oracles
from tests.support.networks import TRANSFORMERS, network_and_images, random_images, tiny_net

NETWORKS = ["resnet18", "mobilenet_v3_small", "densenet121", *TRANSFORMERS]
TARGET_B = torch.tensor([1, 3])


def capture_image(
    network: nn.Module, image_BCHW: Tensor, target_B: Tensor | None = None
) -> Capture:
    grid = find_grid(network, image_BCHW)
    return capture(network, grid, image_BCHW, target_B, to_image=True)


def relative(ours_BHW: Tensor, theirs_BHW: Tensor) -> float:
    """Largest difference, in units of the largest value."""
    return float((ours_BHW - theirs_BHW).abs().max() / theirs_BHW.abs().max())


@pytest.mark.parametrize("seed", range(5))
def test_each_map_is_what_its_paper_says(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image_BCHW, gradient_BCHW = torch.randn(2, 2, 3, 5, 4, generator=generator, dtype=torch.float64)
    of_gradient = [method_oracles.saliency(g) for g in gradient_BCHW.numpy()]
    np.testing.assert_allclose(gradients.saliency(image_BCHW, gradient_BCHW), np.stack(of_gradient))
    pairs = zip(image_BCHW.numpy(), gradient_BCHW.numpy(), strict=True)
    of_both = [method_oracles.input_x_gradient(x, g) for x, g in pairs]
    np.testing.assert_allclose(
        gradients.input_x_gradient(image_BCHW, gradient_BCHW), np.stack(of_both), atol=1e-15
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_pixel_maps_agree_with_captum(name: str) -> None:
    network, image_BCHW = network_and_images(name)
    captured = capture_image(network, image_BCHW, TARGET_B)
    theirs_BCHW = image_BCHW.clone().requires_grad_(True)
    saliency_BCHW = Saliency(network).attribute(theirs_BCHW, target=TARGET_B)
    product_BCHW = InputXGradient(network).attribute(theirs_BCHW, target=TARGET_B)
    ours_BHW = PASS_METHODS["saliency"].map_Bhw(captured)
    assert relative(ours_BHW, saliency_BCHW.amax(1)) < 1e-5
    ours_BHW = PASS_METHODS["input_x_gradient"].map_Bhw(captured)
    assert relative(ours_BHW, product_BCHW.sum(1).detach()) < 1e-5


@pytest.mark.parametrize("name", ["resnet18", "swin"])
def test_pixel_maps_explain_the_prediction_by_default(name: str) -> None:
    network, image_BCHW = network_and_images(name)
    captured = capture_image(network, image_BCHW)
    chosen = capture_image(network, image_BCHW, network(image_BCHW).argmax(1))
    torch.testing.assert_close(vars(captured), vars(chosen))


@pytest.mark.parametrize("name", ["resnet18", "vit", "swin"])
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_an_image_does_not_depend_on_its_batch(name: str, method: str) -> None:
    network, image_BCHW = network_and_images(name)
    together_BHW = PASS_METHODS[method].map_Bhw(capture_image(network, image_BCHW, TARGET_B))
    alone_BHW = PASS_METHODS[method].map_Bhw(capture_image(network, image_BCHW[1:], TARGET_B[1:]))
    assert relative(together_BHW[1:], alone_BHW) < 1e-4


def linear() -> nn.Module:
    """Logits that are linear in the picture, without a bias."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 5, bias=False),
    ).eval()


def test_products_of_a_linear_network_add_up_to_its_logit() -> None:
    network, image_BCHW = linear(), random_images(3, 16)
    captured = capture_image(network, image_BCHW)
    logit_B = captured.logits_BK.gather(1, captured.target_B[:, None])[:, 0]
    product_BHW = PASS_METHODS["input_x_gradient"].map_Bhw(captured)
    torch.testing.assert_close(product_BHW.sum((1, 2)), logit_B, rtol=1e-4, atol=1e-5)


def test_a_picture_twice_as_bright_has_the_saliency_of_a_linear_network_unchanged() -> None:
    network, image_BCHW = linear(), random_images(2, 16)
    once, twice = (
        capture_image(network, image_BCHW, TARGET_B),
        capture_image(network, 2 * image_BCHW, TARGET_B),
    )
    for name, times in (("saliency", 1), ("input_x_gradient", 2)):
        method = PASS_METHODS[name]
        torch.testing.assert_close(method.map_Bhw(twice), times * method.map_Bhw(once))


def test_the_image_gradient_does_not_depend_on_the_layer() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    maps = [
        PASS_METHODS["saliency"].map_Bhw(
            capture(network, Grid(layer, 8, 8), image_BCHW, TARGET_B - 1, to_image=True)
        )
        for layer in ("stem", "last")
    ]
    torch.testing.assert_close(maps[0], maps[1])
