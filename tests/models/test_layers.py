"""The layer found in every torchvision network, and the layers that are refused."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch
import torchvision
from networks import random_images, tiny_net, torchvision_net
from torch import Tensor, nn

from models.layers import LayerMistake, cells_of, find_layer

TORCHVISION = torchvision.models.list_models(module=torchvision.models)
EXPECTED = {
    "alexnet": "features",
    "convnext": "features",
    "densenet": "features",
    "efficientnet": "features",
    "googlenet": "inception5b",
    "inception": "Mixed_7c",
    "maxvit": "blocks.3",
    "mnasnet": "layers",
    "mobilenet": "features",
    "regnet": "trunk_output",
    "resnet": "layer4",
    "resnext": "layer4",
    "shufflenet": "conv5",
    "squeezenet": "classifier.1",  # the convolution whose channels are the classes
    "vgg": "features",
    "wide_resnet": "layer4",
}
TRANSFORMERS = ("swin", "vit")


def family(name: str) -> str:
    known = [family for family in (*EXPECTED, *TRANSFORMERS) if name.startswith(family)]
    assert known, f"torchvision has a new family, {name}: say here which layer is right"
    return known[0]


def on_meta(name: str) -> tuple[nn.Module, Tensor]:
    """Shapes without numbers: 600 million parameters cost nothing."""
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        return torchvision.models.get_model(name, **extra).eval(), torch.zeros(1, 3, 224, 224)


# RegNets compute their widths with tensors, so they need a real device: a small one of each kind.
REGNETS = ("regnet_x_400mf", "regnet_y_400mf")
CONVOLUTIONS = [name for name in TORCHVISION if family(name) in EXPECTED.keys() - {"regnet"}]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_last_layer_with_cells_is_found_in_torchvision(name: str) -> None:
    assert find_layer(*on_meta(name)) == EXPECTED[family(name)]


@pytest.mark.parametrize("name", REGNETS)
def test_the_last_layer_with_cells_is_found_in_regnets(name: str) -> None:
    assert find_layer(torchvision_net(name), random_images(1, 64)) == EXPECTED["regnet"]


@pytest.mark.parametrize("name", [name for name in TORCHVISION if family(name) in TRANSFORMERS])
def test_transformers_are_refused(name: str) -> None:
    with pytest.raises(LayerMistake) as caught:
        find_layer(*on_meta(name))
    assert re.fullmatch(
        r"found no last convolution layer in (Swin|Vision)Transformer: name a layer with output "
        r"\(batch, channels, rows, columns\) with --layer",
        str(caught.value),
    )


def lenet() -> nn.Sequential:
    """Few convolutions and a long head."""
    convolutions = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5))
    widths = [8 * 10 * 10, 32, 32, 32, 10]
    head = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
    return nn.Sequential(convolutions, nn.Flatten(), *[part for pair in head for part in pair])


def test_a_long_head_does_not_hide_the_convolutions() -> None:
    assert find_layer(lenet().eval(), random_images(1, 32)) == "0"


def test_a_network_without_a_convolution_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))
    with pytest.raises(LayerMistake, match=r"no last convolution layer in Sequential.*--layer"):
        find_layer(network, random_images(1, 4))


def test_finding_a_layer_leaves_no_hook_and_no_mode() -> None:
    network = tiny_net().train()
    find_layer(network, random_images(2, 16))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(("layer", "cells"), [("stem", (8, 6)), ("last", (8, 6))])
def test_cells_are_rows_and_columns(layer: str, cells: tuple[int, int]) -> None:
    assert cells_of(tiny_net(), layer, torch.zeros(1, 3, 16, 12)) == cells


class Branches(nn.Module):
    """A layer that never runs, one without cells, and one that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pair = nn.MaxPool2d(2, return_indices=True)
        self.fc = nn.Linear(3, 2)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BCHW, _ = self.pair(image_BCHW)
        logits_BK: Tensor = self.fc(self.pool(x_BCHW).flatten(1))
        return logits_BK


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("pol", "no layer 'pol' in the network (did you mean 'pool'?): name another --layer"),
        ("unused", "layer 'unused' does not run in this network: name another --layer"),
        ("pool", "layer 'pool' gives (1, 3, 1, 1); a map needs "),
        ("fc", "layer 'fc' gives (1, 2); a map needs (batch, channels, rows, columns) "),
        ("pair", "layer 'pair' gives a tuple; a map needs (batch, channels, rows, columns) "),
    ],
)
def test_a_layer_without_cells_is_refused(layer: str, line: str) -> None:
    with pytest.raises(LayerMistake) as caught:
        cells_of(Branches(), layer, random_images(1, 8))
    assert str(caught.value).startswith(line)
    assert "--layer" in str(caught.value)
    assert "\n" not in str(caught.value)
