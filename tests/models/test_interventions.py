"""Interventions keep the pixels that they should keep, and change the others as they should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.classifier.small_resnet import small_resnet
from models.fills import FILLS, Fill
from models.interventions import exchange_background, predict, remove_background, remove_object


@pytest.fixture
def image_BCHW() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask_BHW() -> Tensor:
    mask_BHW = torch.zeros(3, 16, 16)
    mask_BHW[0, 4:9, 3:12] = 1
    mask_BHW[1, :8] = 1
    mask_BHW[2, 5, 5] = 1
    return mask_BHW


@pytest.mark.parametrize("fill", FILLS)
def test_the_background_stays_when_the_object_goes(
    image_BCHW: Tensor, mask_BHW: Tensor, fill: Fill
) -> None:
    changed_BCHW = remove_object(image_BCHW, mask_BHW, fill)
    outside_BCHW = (mask_BHW == 0)[:, None].expand_as(image_BCHW)
    assert torch.equal(changed_BCHW[outside_BCHW], image_BCHW[outside_BCHW])
    assert not torch.isclose(changed_BCHW, image_BCHW)[~outside_BCHW].all()


def test_the_object_becomes_the_mean_of_its_background(
    image_BCHW: Tensor, mask_BHW: Tensor
) -> None:
    changed_BCHW = remove_object(image_BCHW, mask_BHW)
    for image_CHW, changed_CHW, mask_HW in zip(image_BCHW, changed_BCHW, mask_BHW, strict=True):
        for channel in range(3):
            mean = image_CHW[channel][mask_HW == 0].mean()
            inside = changed_CHW[channel][mask_HW == 1]
            torch.testing.assert_close(inside, mean.expand_as(inside))


def test_a_mask_of_everything_leaves_the_datas_mean(image_BCHW: Tensor) -> None:
    changed_BCHW = remove_object(image_BCHW, torch.ones(3, 16, 16))
    assert changed_BCHW.abs().max() == 0


def test_a_blur_does_not_depend_on_the_object(image_BCHW: Tensor, mask_BHW: Tensor) -> None:
    """Other pixels under the mask give the same filling: an ordinary blur would leak them."""
    other_BCHW = torch.where(mask_BHW[:, None] == 1, 9.0, image_BCHW)
    torch.testing.assert_close(
        remove_object(image_BCHW, mask_BHW, "blur"), remove_object(other_BCHW, mask_BHW, "blur")
    )


def test_the_object_alone_stands_on_the_mean(image_BCHW: Tensor, mask_BHW: Tensor) -> None:
    alone_BCHW = remove_background(image_BCHW, mask_BHW)
    assert torch.equal(alone_BCHW, image_BCHW * mask_BHW[:, None])


def test_an_exchange_takes_each_pixel_from_one_side(image_BCHW: Tensor, mask_BHW: Tensor) -> None:
    other_BCHW = image_BCHW.flip(0) + 5
    both_BCHW = exchange_background(image_BCHW, mask_BHW, other_BCHW)
    expected_BCHW = torch.where(mask_BHW[:, None] == 1, image_BCHW, other_BCHW)
    torch.testing.assert_close(both_BCHW, expected_BCHW)
    half_BCHW = exchange_background(image_BCHW, torch.full((3, 16, 16), 0.5), other_BCHW)
    torch.testing.assert_close(half_BCHW, (image_BCHW + other_BCHW) / 2)


def test_predicting_leaves_the_network_as_found(image_BCHW: Tensor) -> None:
    network = small_resnet(4).train()
    probability_BK = predict(network, image_BCHW)
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())
    assert not probability_BK.requires_grad
    torch.testing.assert_close(probability_BK.sum(1), torch.ones(3))
