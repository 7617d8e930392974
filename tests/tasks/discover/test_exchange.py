"""Exchanges derived again pixel by pixel. Shapes: C=3, H W pixels."""

from __future__ import annotations

import torch

from tasks.discover.exchange import Exchange
from tasks.pictures.map_region import Region

SIZE = 16


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def square_mask() -> torch.Tensor:
    mask_1HW = torch.zeros(1, SIZE, SIZE)
    mask_1HW[:, 4:8, 6:12] = 1
    return mask_1HW


def test_an_object_is_put_on_a_background_whose_own_object_is_filled() -> None:
    exchange = Exchange(None, "mean")
    image_1CHW, other_1CHW, mask_1HW = pictures(1, 0), pictures(1, 1), square_mask()
    other_mask_1HW = mask_1HW.roll(5, 1)
    source_CHW = exchange.sources(other_1CHW, other_mask_1HW)[0]
    put_CHW = exchange.put(image_1CHW, mask_1HW, source_CHW)[0]
    mean_C = other_1CHW[0][:, other_mask_1HW[0] == 0].mean(1)
    for row in range(SIZE):
        for column in range(SIZE):
            if mask_1HW[0, row, column]:
                expected_C = image_1CHW[0, :, row, column]
            elif other_mask_1HW[0, row, column]:
                expected_C = mean_C
            else:
                expected_C = other_1CHW[0, :, row, column]
            assert torch.allclose(put_CHW[:, row, column], expected_C, atol=1e-5)


def test_a_region_alone_is_taken_from_the_other_picture() -> None:
    region = Region(((0, 0),), (4, 4))
    exchange = Exchange(region, "mean")
    image_1CHW, other_1CHW, none_1HW = pictures(1, 0), pictures(1, 1), torch.zeros(1, SIZE, SIZE)
    source_CHW = exchange.sources(other_1CHW, none_1HW)[0]
    assert torch.equal(source_CHW, other_1CHW[0])  # without a mask nothing is filled
    put_CHW = exchange.put(image_1CHW, square_mask(), source_CHW)[0]
    weight_HW = region.mask((SIZE, SIZE))
    expected_CHW = weight_HW * source_CHW + (1 - weight_HW) * image_1CHW[0]
    assert torch.allclose(put_CHW, expected_CHW, atol=1e-5)
    assert torch.allclose(put_CHW[:, :2, :2], source_CHW[:, :2, :2], atol=1e-3)
    assert torch.equal(put_CHW[:, 12:, 12:], image_1CHW[0, :, 12:, 12:])
