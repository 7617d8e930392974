"""The small network: its size, its last map, and that hooks may hold its activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.classifier.small_resnet import small_preprocessing, small_resnet


def test_it_is_small() -> None:
    assert sum(weight.numel() for weight in small_resnet().parameters()) <= 1_000_000


@pytest.mark.parametrize(("size", "cells"), [(64, 8), (96, 12), (128, 16)])
def test_the_last_map_is_an_eighth_of_the_picture(size: int, cells: int) -> None:
    network = small_resnet(7).eval()
    shapes: list[torch.Size] = []
    stage = network.get_submodule("stage3")

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes.append(output.shape)

    stage.register_forward_hook(note)
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 7)
    assert shapes[0][2:] == (cells, cells)


def test_no_activation_is_overwritten() -> None:
    assert not any(
        module.inplace for module in small_resnet().modules() if isinstance(module, nn.ReLU)
    )


def test_the_seed_makes_the_weights() -> None:
    torch.manual_seed(3)
    first = small_resnet().state_dict()
    torch.manual_seed(3)
    second = small_resnet().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_reads_pictures_as_they_are() -> None:
    preprocessing = small_preprocessing(96)
    white_BCHW = torch.full((1, 3, 96, 96), 255, dtype=torch.uint8)
    assert preprocessing.resize_and_crop(white_BCHW[0]).equal(white_BCHW[0])
    assert preprocessing.normalise(white_BCHW).allclose(torch.ones(1, 3, 96, 96))
