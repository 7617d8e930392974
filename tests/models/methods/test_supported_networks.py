"""Which methods serve which networks: the table of docs/methods.md, made again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from models.errors import LayerError, UserError
from models.function_network import FunctionNetwork
from models.methods.full_grad import sum_contributions
from models.methods.maps import capture_for, check_methods, explain
from models.methods.registry import NetworkMethod, find_method
from models.network.capture import capture
from models.network.explain_request import ExplainRequest
from models.network.layers import find_grid, grid_of
from models.network.statistics import Moments
from tests.support.networks import random_images

PAGE = Path(__file__).parents[3] / "docs/methods.md"
SIZE = 64
NETWORKS = {
    "ResNet": "resnet18",
    "VGG": "vgg11_bn",
    "DenseNet": "densenet121",
    "MobileNet": "mobilenet_v3_small",
    "EfficientNet": "efficientnet_b0",
    "ConvNeXt": "convnext_tiny",
    "ViT": "vit_b_16",
    "Swin": "swin_t",
    "a function": "",
}
METHODS = {
    **{name: name for name in ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")},
    **{name: name for name in ("saliency", "input_x_gradient", "full_grad", "vjp", "iba")},
    "integrated_gradients": "integrated_gradients:steps=2",
    "smooth_grad": "smooth_grad:draws=2",
    "rise": "rise:masks=8",
    "ibisa": "ibisa:steps=2",
    "captum:GuidedBackprop": "captum:GuidedBackprop",
    "captum:DeepLift": "captum:DeepLift",
    "captum:LRP": "captum:LRP",
}


@cache
def network(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if not name:
            return FunctionNetwork(_colours)
        sized = {"image_size": SIZE} if name.startswith("vit") else {}
        built: nn.Module = get_model(name, weights=None, num_classes=5, **sized)
        for weight in built.parameters():  # a ViT's head starts at zero: no gradient
            if weight.ndim > 1 and not weight.any():
                nn.init.normal_(weight, std=0.02)
    return built.eval()


def _colours(image_BCHW: Tensor) -> Tensor:
    red_B, green_B, blue_B = image_BCHW.square().mean((2, 3)).unbind(1)
    return torch.stack([red_B, green_B - blue_B, blue_B], 1)


def make_request(name: str) -> ExplainRequest:
    used, image_BCHW = network(name), random_images(3, SIZE)
    target_B = torch.arange(3)
    try:
        grid = find_grid(used, image_BCHW[:1])
    except LayerError:
        return ExplainRequest(used, image_BCHW, target_B)
    statistics = Moments.of(
        capture(used, grid, random_images(6, SIZE)).activation_BDhw
    ).statistics()
    return ExplainRequest(used, image_BCHW, target_B, grid=grid, statistics=statistics)


def serves(method: str, name: str) -> bool:
    """Finite maps that are not the same everywhere; refused by one line otherwise."""
    request, found = make_request(name), find_method(METHODS[method])
    try:
        check_methods([found], request.network, request.grid, request.image_BCHW[:1])
        map_Bhw = explain(found, request)
    except UserError as mistake:
        assert "\n" not in str(mistake)
        return False
    return bool(map_Bhw.isfinite().all() and (map_Bhw.amax((1, 2)) > map_Bhw.amin((1, 2))).any())


def table() -> Mapping[str, list[str]]:
    """Rows of the page's table by method, a cell a network."""
    lines = PAGE.read_text(encoding="utf-8").split("## Which networks\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == 1 + len(NETWORKS)}


def test_the_table_names_every_network_and_method() -> None:
    rows = table()
    assert rows["method"] == list(NETWORKS)
    assert list(rows)[2:] == list(METHODS)


@pytest.mark.full
@pytest.mark.parametrize("method", METHODS)
def test_the_table_is_right(method: str) -> None:
    found = ["yes" if serves(method, name) else "no" for name in NETWORKS.values()]
    assert table()[method] == found


@pytest.mark.full
def test_iba_works_on_a_block_of_a_transformer() -> None:
    used, image_BCHW = network("vit_b_16"), random_images(2, SIZE)
    grid = grid_of(used, "encoder.layers.encoder_layer_10", image_BCHW[:1])
    statistics = Moments.of(
        capture(used, grid, random_images(6, SIZE)).activation_BDhw
    ).statistics()
    request = ExplainRequest(
        used, image_BCHW, torch.tensor([0, 1]), grid=grid, statistics=statistics
    )
    map_Bhw = explain(find_method("iba:layer=encoder.layers.encoder_layer_10"), request)
    assert map_Bhw.isfinite().all()
    assert (map_Bhw.amax((1, 2)) > map_Bhw.amin((1, 2))).all()


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "densenet121"])
def test_full_grad_adds_up_to_the_logit_where_the_network_is_piecewise_linear(name: str) -> None:
    request = make_request(name)
    method = find_method("full_grad")
    assert not isinstance(method, NetworkMethod)
    captured = capture_for([method], request.network, request.grid, request.image_BCHW)
    assert captured.image_BCHW is not None
    assert captured.image_gradient_BCHW is not None
    total_B = sum_contributions(captured.image_BCHW, captured.image_gradient_BCHW, captured.terms)
    logit_B = captured.logits_BK.gather(1, captured.target_B[:, None])[:, 0]
    torch.testing.assert_close(total_B, logit_B, rtol=1e-3, atol=1e-4)
