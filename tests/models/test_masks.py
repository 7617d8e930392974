"""Grown masks against the windows that they are maxima over."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from models.masks import grow_masks


@given(
    st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 99)
)
def test_each_reaches_as_far_in_every_direction(
    masks: int, rows: int, columns: int, pixels: int, seed: int
) -> None:
    mask_BHW = torch.rand(masks, rows, columns, generator=torch.Generator().manual_seed(seed))
    padded_BHW = functional.pad(mask_BHW, (pixels,) * 4, value=-1)
    windows = [
        padded_BHW[:, row : row + rows, column : column + columns]
        for row in range(2 * pixels + 1)
        for column in range(2 * pixels + 1)
    ]
    grown_BHW = grow_masks(mask_BHW, pixels)
    assert torch.equal(grown_BHW, torch.stack(windows).amax(0))
    assert torch.equal(grow_masks(mask_BHW[:, None], pixels)[:, 0], grown_BHW)
