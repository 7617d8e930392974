"""The network that says where objects are, against the package whose weights it reads."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.classifier.object_network import (
    DEVIATION,
    MEAN,
    READ,
    SIZE,
    load_object_network,
)
from models.classifier.object_network_files import find_weights


@pytest.fixture(scope="module")
def oracle() -> nn.Module:
    """EfficientNet-Lite0 as its package builds it, with the same file of weights."""
    package: Any = import_module("efficientnet_lite_pytorch")
    with redirect_stdout(io.StringIO()):  # it prints that it has read them
        network = package.EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=str(find_weights())
        )
    assert isinstance(network, nn.Module)
    return network.eval()


def features_of(network: nn.Module, image_BCHW: Tensor) -> list[Tensor]:
    """What the blocks that count give, seen by hooks."""
    seen: list[Tensor] = []
    blocks = network.get_submodule("_blocks")
    assert isinstance(blocks, nn.ModuleList)
    handles = [
        blocks[number].register_forward_hook(lambda _, __, output: seen.append(output))
        for number in READ
    ]
    with torch.no_grad():
        network(image_BCHW)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.full
@pytest.mark.parametrize(("height", "width"), [(SIZE, SIZE), (120, 333)])
def test_features_are_those_of_the_package(oracle: nn.Module, height: int, width: int) -> None:
    """Of a picture and of its mirror image, turned back."""
    generator = torch.Generator().manual_seed(0)
    coarse_BCHW = 255 * torch.rand(2, 3, 7, 9, generator=generator)
    picture_BCHW = functional.interpolate(coarse_BCHW, (height, width), mode="bicubic")
    picture_BCHW = picture_BCHW.clamp(0, 255).to(torch.uint8)
    image_BCHW = functional.interpolate(
        picture_BCHW.float(), (SIZE, SIZE), mode="bilinear", antialias=True
    )
    image_BCHW = (image_BCHW - MEAN) / DEVIATION
    found_VBFhw = load_object_network(find_weights()).features(picture_BCHW)
    for view, found_BFhw in enumerate(found_VBFhw):
        fine_BFhw, coarse_BFhw = features_of(oracle, image_BCHW.flip(3) if view else image_BCHW)
        assert fine_BFhw.shape[2:] == (14, 14)
        assert coarse_BFhw.shape[2:] == (7, 7)
        coarse_BFhw = functional.interpolate(coarse_BFhw, (14, 14), mode="bilinear")
        expected_BFhw = torch.cat([fine_BFhw, coarse_BFhw], 1)
        expected_BFhw = expected_BFhw.flip(3) if view else expected_BFhw
        assert expected_BFhw.std() > 0.1
        torch.testing.assert_close(found_BFhw, expected_BFhw, rtol=1e-4, atol=1e-4)
