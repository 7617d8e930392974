"""What is filled in where an object is removed: around estimates, more than they mark."""

from __future__ import annotations

import pytest
import torch

from tasks.interventions.filled_areas import filled_areas, filled_share


def test_around_an_estimate_more_is_filled_in_than_around_an_annotation() -> None:
    mask_BHW = torch.zeros(2, 100, 200)
    mask_BHW[:, 50, 70] = 1
    filled_BHW = filled_areas(mask_BHW, [False, True])
    assert torch.equal(filled_BHW[0], mask_BHW[0])
    assert filled_BHW[1, 44:57, 64:77].all()  # 6% of the shorter side
    assert filled_BHW[1].sum() == 13 * 13


def test_what_is_filled_in_is_what_a_foreground_takes_of_its_picture() -> None:
    mask_HW = torch.zeros(100, 200, dtype=torch.uint8)
    mask_HW[50, 70] = 255
    shares = [filled_share(mask_HW, estimated=estimated) for estimated in (False, True)]
    assert shares == pytest.approx([1 / 20_000, 13 * 13 / 20_000])


def test_annotated_objects_are_filled_in_as_they_are_marked() -> None:
    mask_BHW = torch.rand(3, 8, 8)
    assert torch.equal(filled_areas(mask_BHW, [False] * 3), mask_BHW)
