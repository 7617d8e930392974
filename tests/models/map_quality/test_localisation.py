"""Scores against their literal form, and what they say of maps whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.map_quality.localisation import (
    effective_heat_ratio,
    enlarge,
    foreground_share,
    is_ordered,
    lift,
    pointing,
    ranks,
    to_cells,
    top_k,
)
from tests.support import method_oracles

SEEDS = st.integers(0, 2**31)
few = settings(max_examples=40)


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
        mask_hw = method_oracles.to_cells(mask_HW, rows, columns)
        np.testing.assert_allclose(cells_Bhw[b], mask_hw, atol=1e-12)
        np.testing.assert_allclose(share_B[b], method_oracles.foreground_share(map_hw, mask_hw))
        np.testing.assert_allclose(lift_B[b], method_oracles.lift(map_hw, mask_hw))
        assert bool(hit_B[b]) == method_oracles.pointing(map_hw, mask_HW)


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
    expected_hw = method_oracles.to_cells(pieces_HW, rows, columns)
    np.testing.assert_allclose(cells_Bhw[0], expected_hw, atol=1e-12)


def literal_enlarged(map_hw: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, with the centres of cells and pixels where they are; edges go on as they are."""
    rows, columns = map_hw.shape
    map_HW = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            for i, row in ((int(v), 1 - v % 1), (min(int(v) + 1, rows - 1), v % 1)):
                for j, column in ((int(u), 1 - u % 1), (min(int(u) + 1, columns - 1), u % 1)):
                    map_HW[y, x] += row * column * map_hw[i, j]
    return map_HW


def literal_top_k(heat_HW: np.ndarray, mask_HW: np.ndarray) -> float:
    """Schulz et al. 2020, section 4.4 (their boxes): share of the k hottest pixels inside."""
    pixels = sorted(np.ndindex(heat_HW.shape), key=lambda pixel: -heat_HW[pixel])
    inside = [bool(mask_HW[pixel] >= 0.5) for pixel in pixels]
    return sum(inside[: sum(inside)]) / sum(inside)


def literal_heat_ratio(heat_HW: np.ndarray, mask_HW: np.ndarray) -> float:
    """Zhang et al. 2021, appendix: heat in the region / points, over quantiles of the heat."""
    unit_HW = heat_HW / heat_HW.max()
    hot_HW = np.where(unit_HW >= 0.1, unit_HW, 0)
    rising = sorted(hot_HW[hot_HW > 0].tolist())
    ratios = []
    for step in range(11):
        index, rest = divmod(step * (len(rising) - 1), 10)
        above = rising[min(index + 1, len(rising) - 1)]
        least = min(rising[index] + rest / 10 * (above - rising[index]), 0.99)
        inside, points = 0.0, 0
        for at in np.ndindex(hot_HW.shape):
            if hot_HW[at] >= least:
                points += 1
                inside += float(hot_HW[at]) if mask_HW[at] >= 0.5 else 0
        ratios.append(inside / points)
    return float(np.trapezoid(ratios, dx=0.1))


@given(seed=SEEDS, rows=st.integers(2, 5), columns=st.integers(2, 5), pixels=st.integers(1, 4))
@few
def test_scores_of_the_hottest_pixels_are_as_defined(
    seed: int, rows: int, columns: int, pixels: int
) -> None:
    map_Bhw, mask_BHW = draw(seed, (rows, columns), pixels)
    mask_BHW[:, 0, 0] = 1  # never empty
    before = map_Bhw.clone(), mask_BHW.clone()
    top_B, ratio_B = top_k(map_Bhw, mask_BHW), effective_heat_ratio(map_Bhw, mask_BHW)
    for b in range(2):
        heat_HW = enlarge(map_Bhw.abs(), mask_BHW.shape[1:])[b].numpy()
        np.testing.assert_allclose(top_B[b], literal_top_k(heat_HW, mask_BHW[b].numpy()), rtol=1e-6)
        expected = literal_heat_ratio(heat_HW, mask_BHW[b].numpy())
        np.testing.assert_allclose(ratio_B[b], expected, rtol=1e-6)
    assert torch.equal(map_Bhw, before[0]) and torch.equal(mask_BHW, before[1])


def test_maps_are_enlarged_bilinearly() -> None:
    map_Bhw, _ = draw(0, (3, 4), 1)
    for height, width in ((3, 4), (12, 12), (7, 10)):
        large_BHW = enlarge(map_Bhw, (height, width))
        for b in range(2):
            expected_HW = literal_enlarged(map_Bhw[b].numpy(), height, width)
            np.testing.assert_allclose(large_BHW[b], expected_HW, atol=1e-12)


def test_the_foreground_itself_is_the_perfect_map() -> None:
    mask_BHW = torch.zeros(2, 16, 16)
    mask_BHW[0, 4:9, 2:13] = 1
    mask_BHW[1, 3, 7] = 0.5
    map_BHW = torch.tensor([2.0, -7.0])[:, None, None] * mask_BHW  # magnitudes count
    assert top_k(map_BHW, mask_BHW).tolist() == [1, 1]
    assert effective_heat_ratio(map_BHW, mask_BHW).tolist() == [1, 1]
    outside_BHW = (mask_BHW < 0.5).float()
    assert top_k(outside_BHW, mask_BHW).tolist() == [0, 0]
    assert effective_heat_ratio(outside_BHW, mask_BHW).tolist() == [0, 0]


def test_a_constant_map_has_the_heat_ratio_of_the_area_and_no_hottest_pixels() -> None:
    mask_BHW = torch.zeros(1, 8, 8)
    mask_BHW[:, :2] = 1
    assert effective_heat_ratio(torch.full((1, 4, 4), 0.3), mask_BHW).item() == 0.25
    assert top_k(torch.full((1, 4, 4), 0.3), mask_BHW).isnan().item()


@pytest.mark.parametrize("score", [top_k, effective_heat_ratio])
@pytest.mark.parametrize("cell", [None, float("nan"), float("inf")])
def test_no_heat_and_no_foreground_have_no_score_and_affect_no_other(
    score: Callable[[Tensor, Tensor], Tensor], cell: float | None
) -> None:
    map_Bhw, mask_BHW = torch.rand(4, 3, 3), (torch.rand(4, 9, 9) > 0.5).float()
    expected_B = score(map_Bhw, mask_BHW)
    map_Bhw[0] = 0 if cell is None else map_Bhw[0]
    map_Bhw[0, 1, 2] = cell or 0
    mask_BHW[1], mask_BHW[2] = 0, torch.nan
    found_B = score(map_Bhw, mask_BHW)
    assert found_B.isnan().tolist() == [True, True, True, False]
    assert found_B[3] == expected_B[3]


def test_equal_cells_keep_their_order_in_the_ranks() -> None:
    value_BN = torch.tensor([[1.0, 3, 1, 3, 2], [0, 0, 0, 0, 0]])
    assert ranks(value_BN).tolist() == [[3, 0, 4, 1, 2], [0, 1, 2, 3, 4]]
    assert is_ordered(value_BN[:, None]).tolist() == [True, False]
