"""Holes are filled with what is around them, whatever was in them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.holes import GROWN, fill_holes


def square(size: int = 64, side: int = 20, at: tuple[int, int] = (20, 30)) -> Tensor:
    mask_1HW = torch.zeros(1, size, size)
    mask_1HW[:, at[0] : at[0] + side, at[1] : at[1] + side] = 1
    return mask_1HW


def noise(seed: int, count: int = 1, height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 100), height=st.integers(3, 70), width=st.integers(3, 70))
def test_the_picture_outside_stays_and_the_object_does_not_matter(
    seed: int, height: int, width: int
) -> None:
    image_1CHW = noise(seed, 1, height, width)
    mask_1HW = torch.zeros(1, height, width)
    mask_1HW[:, height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    other_1CHW = torch.where(mask_1HW[:, None] == 1, 9.0, image_1CHW)
    filled_1CHW = fill_holes(image_1CHW, mask_1HW)
    torch.testing.assert_close(fill_holes(other_1CHW, mask_1HW), filled_1CHW)
    assert filled_1CHW.isfinite().all()
    beyond = round(GROWN * min(height, width))
    outside_HW = torch.ones(height, width, dtype=torch.bool)
    outside_HW[
        max(0, height // 3 - beyond) : height // 2 + 1 + beyond,
        max(0, width // 4 - beyond) : width // 2 + 1 + beyond,
    ] = False
    assert torch.equal(filled_1CHW[..., outside_HW], image_1CHW[..., outside_HW])


def test_an_even_background_shows_no_trace() -> None:
    image_1CHW = torch.full((1, 3, 64, 64), 0.4)
    mask_1HW = square()
    image_1CHW[:, :, mask_1HW[0] == 1] = 3.0
    torch.testing.assert_close(fill_holes(image_1CHW, mask_1HW), torch.full_like(image_1CHW, 0.4))


def test_the_edge_of_the_object_goes_with_it() -> None:
    """A mask that is one pixel too small leaves nothing of the object."""
    image_1CHW = torch.zeros(1, 3, 64, 64)
    image_1CHW[:, :, square(side=22, at=(19, 29))[0] == 1] = 5.0
    assert fill_holes(image_1CHW, square()).abs().max() < 1e-4


def test_a_pattern_goes_on_inside_the_hole() -> None:
    """Stripes that repeat: a part of the picture fits, a blur would not."""
    stripes_1CHW = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(16).expand(1, 3, 64, 64).clone()
    mask_1HW = square(side=16, at=(24, 24))
    filled_1CHW = fill_holes(torch.where(mask_1HW[:, None] == 1, 7.0, stripes_1CHW), mask_1HW)
    inside_1CHW = (filled_1CHW * stripes_1CHW)[:, :, 27:37, 27:37]
    assert inside_1CHW.mean() > 0.9


def test_images_of_a_batch_do_not_mix() -> None:
    image_BCHW = noise(1, 3)
    mask_BHW = torch.cat([square(), square(at=(5, 5)), torch.zeros(1, 64, 64)])
    together_BCHW = fill_holes(image_BCHW, mask_BHW)
    for number in range(3):
        alone_1CHW = fill_holes(image_BCHW[[number]], mask_BHW[[number]])
        torch.testing.assert_close(together_BCHW[[number]], alone_1CHW)
    assert torch.equal(together_BCHW[2], image_BCHW[2])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_where_nothing_is_known_the_mean_of_the_data_is_shown(size: int) -> None:
    image_1CHW = noise(2, 1, size, size)
    assert not fill_holes(image_1CHW, torch.ones(1, size, size)).any()
