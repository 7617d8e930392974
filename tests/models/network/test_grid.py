"""A layer's output as (B, D, h, w): by literal loops, and read from shapes alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.network.grid import Grid, distortion, read_grid

SIDES = st.integers(1, 4)


@given(rows=SIDES, columns=SIDES, prefix=SIDES, batch=SIDES, depth=SIDES)
def test_cells_are_the_last_tokens_row_by_row(
    rows: int, columns: int, prefix: int, batch: int, depth: int
) -> None:
    token_BTD = torch.rand(batch, prefix + rows * columns, depth)
    batch_first = Grid("x", rows, columns, "BTD", prefix).arrange(token_BTD)
    sequence_first = Grid("x", rows, columns, "TBD", prefix).arrange(token_BTD.transpose(0, 1))
    assert batch_first.shape == sequence_first.shape == (batch, depth, rows, columns)
    for b in range(batch):
        for d in range(depth):
            for i in range(rows):
                for j in range(columns):
                    token = token_BTD[b, prefix + i * columns + j, d]
                    assert batch_first[b, d, i, j] == sequence_first[b, d, i, j] == token


def test_planes_are_views_with_the_channels_in_front() -> None:
    output = torch.rand(2, 3, 4, 5)
    assert Grid("x", 4, 5).arrange(output) is output
    last = Grid("x", 3, 4, "BhwD").arrange(output)
    assert last.shape == (2, 5, 3, 4)
    assert last[1, 4, 2, 3] == output[1, 2, 3, 4]
    assert last.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("shape", "picture", "grid"),
    [
        ((1, 512, 7, 7), (224, 224), Grid("x", 7, 7)),
        ((1, 7, 7, 768), (224, 224), Grid("x", 7, 7, "BhwD")),
        ((1, 8, 8, 8), (224, 224), Grid("x", 8, 8)),  # either: as convolutions give it
        ((1, 512, 14, 7), (224, 224), Grid("x", 14, 7)),
        ((1, 7, 14, 768), (224, 448), Grid("x", 7, 14, "BhwD")),
        ((1, 197, 768), (224, 224), Grid("x", 14, 14, "BTD", 1)),
        ((197, 1, 768), (224, 224), Grid("x", 14, 14, "TBD", 1)),
        ((1, 198, 768), (224, 224), Grid("x", 14, 14, "BTD", 2)),
        ((1, 201, 768), (224, 224), Grid("x", 14, 14, "BTD", 5)),
        ((1, 196, 768), (224, 224), Grid("x", 14, 14, "BTD", 0)),
        ((1, 1374, 384), (518, 518), Grid("x", 37, 37, "BTD", 5)),
        ((1, 295, 768), (224, 336), Grid("x", 14, 21, "BTD", 1)),
        ((1, 295, 768), (336, 224), Grid("x", 21, 14, "BTD", 1)),
    ],
)
def test_a_grid_is_read_from_the_shapes(
    shape: tuple[int, ...], picture: tuple[int, int], grid: Grid
) -> None:
    assert read_grid("x", torch.empty(shape, device="meta"), picture, []) == grid


def test_the_patches_of_a_convolution_decide() -> None:
    """Fifty learnt prompts before the patches: the proportions alone would say 15x15."""
    output = torch.empty(1, 1 + 50 + 14 * 14, 768, device="meta")
    convolved = [(112, 112), (14, 14), (7, 7)]
    assert read_grid("x", output, (224, 224), convolved) == Grid("x", 14, 14, "BTD", 51)


@pytest.mark.parametrize(
    "shape",
    [(1, 512, 1, 1), (1, 1, 1, 512), (1, 10), (1, 1, 768), (4, 49, 96), (4, 3, 7, 7), (1, 0, 9)],
)
def test_outputs_without_cells_have_no_grid(shape: tuple[int, ...]) -> None:
    assert read_grid("x", torch.empty(shape), (224, 224), []) is None


def test_other_outputs_than_tensors_have_no_grid() -> None:
    assert read_grid("x", (torch.empty(1, 3, 7, 7), None), (224, 224), []) is None


def test_distortion_is_that_of_a_cell_in_pixels() -> None:
    assert distortion((7, 14), (224, 448)) == pytest.approx(1)
    assert distortion((7, 7), (224, 448)) == pytest.approx(2)
    assert distortion((14, 7), (224, 224)) == pytest.approx(2)
