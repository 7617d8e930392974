"""Scores against their literal form, and what they say of maps whose answer is known."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.localisation import foreground_share, lift, pointing, to_cells

SEEDS = st.integers(0, 2**31)
few = settings(max_examples=40, deadline=None)


def draw(seed: int, cells: tuple[int, int], pixels: int) -> tuple[Tensor, Tensor]:
    """Two maps of these cells and two masks with `pixels` x `pixels` pixels a cell."""
    generator = torch.Generator().manual_seed(seed)
    map_Bhw = torch.randn(2, *cells, generator=generator, dtype=torch.float64)
    size = (cells[0] * pixels, cells[1] * pixels)
    mask_BHW = (torch.rand(2, *size, generator=generator, dtype=torch.float64) > 0.5).double()
    return map_Bhw, mask_BHW


@given(seed=SEEDS, rows=st.integers(1, 5), columns=st.integers(1, 5), pixels=st.integers(1, 4))
@few
def test_scores_are_what_their_definitions_say(
    seed: int, rows: int, columns: int, pixels: int
) -> None:
    map_Bhw, mask_BHW = draw(seed, (rows, columns), pixels)
    cells_Bhw = to_cells(mask_BHW, (rows, columns))
    share_B = foreground_share(map_Bhw, cells_Bhw)
    lift_B = lift(share_B, cells_Bhw.mean((1, 2)))
    hit_B = pointing(map_Bhw, mask_BHW)
    for b in range(2):
        map_hw, mask_HW = map_Bhw[b].numpy(), mask_BHW[b].numpy()
        mask_hw = oracles.to_cells(mask_HW, rows, columns)
        np.testing.assert_allclose(cells_Bhw[b], mask_hw, atol=1e-12)
        np.testing.assert_allclose(share_B[b], oracles.foreground_share(map_hw, mask_hw))
        np.testing.assert_allclose(lift_B[b], oracles.lift(map_hw, mask_hw))
        assert bool(hit_B[b]) == oracles.pointing(map_hw, mask_HW)


def test_a_map_inside_the_foreground_scores_one_and_lifts_by_the_inverse_area() -> None:
    mask_BHW = torch.zeros(1, 32, 32)
    mask_BHW[:, 8:16, 16:24] = 1
    cells_Bhw = to_cells(mask_BHW, (4, 4))
    share_B = foreground_share(cells_Bhw, cells_Bhw)
    assert share_B.item() == 1
    assert lift(share_B, cells_Bhw.mean((1, 2))).item() == 16
    assert pointing(cells_Bhw, mask_BHW).item()


def test_a_map_outside_the_foreground_scores_zero() -> None:
    mask_BHW = torch.zeros(1, 8, 8)
    mask_BHW[:, :4] = 1
    map_Bhw = 1 - to_cells(mask_BHW, (2, 2))
    assert foreground_share(map_Bhw, to_cells(mask_BHW, (2, 2))).item() == 0
    assert not pointing(map_Bhw, mask_BHW).item()


@given(seed=SEEDS)
@few
def test_a_map_that_is_the_same_everywhere_has_a_lift_of_one(seed: int) -> None:
    _, mask_BHW = draw(seed, (7, 7), pixels=3)
    cells_Bhw = to_cells(mask_BHW, (7, 7))
    share_B = foreground_share(torch.full((2, 7, 7), 0.3).double(), cells_Bhw)
    lift_B = lift(share_B, cells_Bhw.mean((1, 2)))
    torch.testing.assert_close(lift_B, torch.ones(2).double(), rtol=0, atol=1e-12)


@given(seed=SEEDS, scale=st.sampled_from([-3.0, 1e-3, 1e6]))
@few
def test_the_size_and_the_sign_of_a_map_do_not_matter_to_its_share(seed: int, scale: float) -> None:
    map_Bhw, mask_BHW = draw(seed, (4, 4), pixels=1)
    torch.testing.assert_close(
        foreground_share(scale * map_Bhw, mask_BHW), foreground_share(map_Bhw, mask_BHW)
    )


def test_a_map_of_zeros_has_no_share_and_an_empty_foreground_no_lift() -> None:
    assert foreground_share(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).isnan().item()
    assert lift(torch.tensor([0.0]), torch.tensor([0.0])).isnan().item()


@pytest.mark.parametrize("cell", [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)])
def test_pointing_looks_at_the_centre_of_the_largest_cell(cell: tuple[int, int]) -> None:
    map_Bhw = torch.zeros(1, 3, 3)
    map_Bhw[0, cell[0], cell[1]] = 1
    mask_BHW = torch.zeros(1, 9, 15)
    mask_BHW[0, 3 * cell[0] + 1, 5 * cell[1] + 2] = 1  # only that one pixel
    assert pointing(map_Bhw, mask_BHW).item()
    assert not pointing(map_Bhw, 1 - mask_BHW).item()


@given(seed=SEEDS, rows=st.integers(1, 6), columns=st.integers(1, 6))
@few
def test_cells_share_the_pixels_between_them(seed: int, rows: int, columns: int) -> None:
    """7 x 5 pixels: each one cut into whole pieces of cells gives the same area average."""
    mask_HW = np.random.default_rng(seed).random((7, 5))
    pieces_HW = mask_HW.repeat(rows, 0).repeat(columns, 1)
    cells_Bhw = to_cells(torch.from_numpy(mask_HW)[None], (rows, columns))
    expected_hw = oracles.to_cells(pieces_HW, rows, columns)
    np.testing.assert_allclose(cells_Bhw[0], expected_hw, atol=1e-12)
