"""A map lies on the whole picture where its crop was, on pictures that show their own places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.classifier.preprocessing import Preprocessing
from tasks.export.geometry import Window

PREPARED = [
    Preprocessing(resize=(64, 48)),
    Preprocessing(resize=64, crop=(56, 56)),
    Preprocessing(resize=40, crop=(56, 56)),  # pictures are framed in black
    Preprocessing(crop=(100, 80)),
]
SIZES = [(120, 200), (200, 120), (96, 96)]
NEAR = 6  # pixels from an edge within which resampling mixes what lies on both sides


@pytest.mark.parametrize("prepared", PREPARED, ids=Preprocessing.describe)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_what_the_model_saw_comes_back_to_its_place(
    prepared: Preprocessing, size: tuple[int, int]
) -> None:
    places_CHW = np.stack([*np.indices(size), np.full(size, 255)]).astype(np.uint8)
    seen_CHW = prepared.resize_and_crop(torch.from_numpy(places_CHW)).numpy()
    window = Window.of(prepared, *size)
    back_CHW = np.stack([window.place(seen_HW, size) for seen_HW in seen_CHW])
    whole = Window(*size, 0, 0, *size)
    inside_HW, near_HW = inside(window, -NEAR) & inside(whole, -NEAR), inside(window, NEAR)
    assert inside_HW.any()
    assert (back_CHW[2][inside_HW] == 255).all()
    assert abs(back_CHW[:2, inside_HW] - places_CHW[:2, inside_HW]).max() <= 2.5
    assert not back_CHW[:, ~near_HW].any()


def inside(window: Window, margin: float) -> np.ndarray:
    """The pixels of the crop, with so many more on each side."""
    down_HW, across_HW = np.indices((window.rows, window.columns)) + 0.5
    rows_HW = abs(down_HW - window.top - window.height / 2) < window.height / 2 + margin
    columns_HW = abs(across_HW - window.left - window.width / 2) < window.width / 2 + margin
    inside_HW: np.ndarray = rows_HW & columns_HW
    return inside_HW


def test_a_map_of_few_cells_is_smooth_and_one_of_many_is_no_larger_than_needed() -> None:
    window = Window.of(Preprocessing(resize=256, crop=(224, 224)), 300, 600)
    assert window.map_size((7, 7)) == (64, 128)
    assert max(window.map_size((224, 224))) == 256
