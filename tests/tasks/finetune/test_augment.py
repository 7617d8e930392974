"""Augmentation keeps a picture and its mask aligned."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.finetune.augment import Augmentation
from tasks.finetune.settings import FinetuneSettings

SIDE = 32
EDGES = st.tuples(st.integers(0, 24), st.integers(0, 24), st.integers(3, 8))


def square(top: int, left: int, side: int) -> Tensor:
    mask_HW = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    mask_HW[top : top + side, left : left + side] = 255
    return mask_HW


def draw(count: int, seed: int, **recipe: object) -> Augmentation:
    generator = torch.Generator().manual_seed(seed)
    return Augmentation.draw(count, FinetuneSettings.model_validate(recipe), generator)


@given(edges=st.lists(EDGES, min_size=1, max_size=4), seed=st.integers(0, 99), zoom=st.floats(0, 1))
def test_a_bright_square_and_its_mask_stay_aligned(
    edges: list[tuple[int, int, int]], seed: int, zoom: float
) -> None:
    mask_BHW = torch.stack([square(*edge) for edge in edges])
    picture_BCHW = mask_BHW[:, None].expand(-1, 3, -1, -1).contiguous()
    augmentation = draw(len(edges), seed, zoom=min(zoom, 0.9))
    shown_BCHW, shown_BHW = augmentation.apply(picture_BCHW), augmentation.apply_to_masks(mask_BHW)
    assert shown_BCHW.dtype == shown_BHW.dtype == torch.uint8
    assert shown_BCHW.shape == picture_BCHW.shape
    assert all(shown_BCHW[:, colour].equal(shown_BHW) for colour in range(3))


@given(edge=EDGES, flipped=st.booleans(), left=st.floats(0.6, 1), shift=st.floats(-1, 1))
def test_a_square_moves_as_the_window_says(
    edge: tuple[int, int, int], flipped: bool, left: float, shift: float
) -> None:
    """The window is `left` of the sides wide, its middle shifted by a share of what is cut off."""
    augmentation = Augmentation(
        torch.tensor([flipped]), torch.tensor([left]), torch.tensor([[shift, -shift]])
    )
    shown_HW = augmentation.apply_to_masks(square(*edge)[None])[0] > 127
    top, first, side = edge
    first = SIDE - side - first if flipped else first
    cut = SIDE * (1 - left) / 2
    corner_x, corner_y = cut * (1 + shift), cut * (1 - shift)  # of the window
    for row, column in ((0, 0), (SIDE // 2, SIDE // 3), (SIDE - 1, SIDE - 1)):
        y, x = corner_y + (row + 0.5) * left, corner_x + (column + 0.5) * left
        from_edges = min(y - top, top + side - y, x - first, first + side - x)
        if abs(from_edges) > 1:  # a border is blurred
            assert shown_HW[row, column] == (from_edges > 0)


def test_half_are_mirrored_or_none() -> None:
    mirrored = draw(1000, 0).flipped_B.float().mean().item()
    assert mirrored == pytest.approx(0.5, abs=0.05)
    assert not draw(1000, 0, flip="none").flipped_B.any()


def test_nothing_moves_without_flip_and_zoom() -> None:
    picture_BCHW = torch.randint(0, 256, (4, 3, SIDE, SIDE)).to(torch.uint8)
    assert draw(4, 0, flip="none").apply(picture_BCHW).equal(picture_BCHW)


def test_each_picture_moves_differently_and_reproducibly() -> None:
    mask_BHW = square(4, 20, 6).expand(16, -1, -1)
    shown_BHW = draw(16, 3, zoom=0.4).apply_to_masks(mask_BHW)
    assert len({tuple(shown_HW.flatten().tolist()) for shown_HW in shown_BHW}) > 12
    assert draw(16, 3, zoom=0.4).apply_to_masks(mask_BHW).equal(shown_BHW)
