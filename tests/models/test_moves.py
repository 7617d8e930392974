"""Moves keep every pixel, and differ from each other."""

from __future__ import annotations

import pytest
import torch

from models.moves import MOVES


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [(8, 12), (3, 7, 9), (2, 3, 1, 5)])
def test_a_move_keeps_every_pixel_of_every_picture(name: str, shape: tuple[int, ...]) -> None:
    picture_HW = torch.arange(torch.Size(shape).numel()).reshape(shape)
    moved_HW = MOVES[name].apply(picture_HW)
    assert moved_HW.shape == picture_HW.shape
    assert torch.equal(moved_HW.flatten(-2).sort().values, picture_HW.flatten(-2))


def test_all_moves_differ_from_each_other_and_from_none() -> None:
    picture_HW = torch.arange(96).reshape(8, 12)
    moved = [picture_HW, *(move.apply(picture_HW) for move in MOVES.values())]
    assert len({tuple(moved_HW.flatten().tolist()) for moved_HW in moved}) == len(MOVES) + 1


def test_what_leaves_one_edge_enters_the_other() -> None:
    picture_HW = torch.tensor([[0, 1, 2, 3, 4, 5]])
    assert MOVES["half a side right"].apply(picture_HW).tolist() == [[3, 4, 5, 0, 1, 2]]
    assert MOVES["a third left"].apply(picture_HW).tolist() == [[2, 3, 4, 5, 0, 1]]
    assert MOVES["mirrored"].apply(picture_HW).tolist() == [[5, 4, 3, 2, 1, 0]]
    assert MOVES["a third right, mirrored"].apply(picture_HW).tolist() == [[1, 0, 5, 4, 3, 2]]
