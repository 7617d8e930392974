"""Boxes match a literal loop, polygons and run lengths COCO's own code."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from models.errors import RegionError
from tasks.pictures.regions import draw_region
from tests.support.encoded_pictures import COLUMNS, ROWS


def in_box(box: tuple[float, float, float, float], rows: int, columns: int) -> np.ndarray:
    """A pixel is in the box when its centre is: literally."""
    x, y, width, height = box
    inside_HW = np.zeros((rows, columns), bool)
    for row, column in itertools.product(range(rows), range(columns)):
        in_x = x <= column + 0.5 < x + width
        inside_HW[row, column] = in_x and y <= row + 0.5 < y + height
    return inside_HW


@given(
    x=st.floats(-30, 23, width=16),
    y=st.floats(-20, 15, width=16),
    width=st.floats(0.125, 60, width=16),
    height=st.floats(0.125, 60, width=16),
)
def test_boxes_are_clipped_to_the_picture(x: float, y: float, width: float, height: float) -> None:
    if x + width <= 0 or y + height <= 0:
        with pytest.raises(RegionError, match="outside the picture's 24x16 pixels"):
            draw_region({"box": [x, y, width, height]}, ROWS, COLUMNS)
        return
    found_HW = draw_region({"box": [x, y, width, height]}, ROWS, COLUMNS)
    np.testing.assert_array_equal(found_HW, in_box((x, y, width, height), ROWS, COLUMNS))


def coco_decode(runs: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, of pycocotools
        decoded: np.ndarray = coco.decode(runs)
    return decoded.astype(bool)


@given(
    st.lists(
        st.lists(st.floats(0, 15, width=16), min_size=6, max_size=12).map(
            lambda numbers: numbers[: len(numbers) // 2 * 2]
        ),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_are_cocos(polygons: list[list[float]]) -> None:
    try:
        found_HW = draw_region({"polygons": polygons}, ROWS, COLUMNS)
    except RegionError as error:
        assert "outside" in str(error)  # a line along the edge
        return
    expected = coco.merge(coco.frPyObjects(polygons, ROWS, COLUMNS))
    np.testing.assert_array_equal(found_HW, coco_decode(expected))


@given(st.binary(min_size=ROWS * COLUMNS, max_size=ROWS * COLUMNS))
def test_run_lengths_are_cocos_as_text_and_as_numbers(noise: bytes) -> None:
    marked_HW = np.frombuffer(noise, np.uint8).reshape(ROWS, COLUMNS) > 100
    text = coco.encode(np.asfortranarray(marked_HW.astype(np.uint8)))
    as_text = {"counts": text["counts"].decode(), "size": [ROWS, COLUMNS]}
    np.testing.assert_array_equal(draw_region(as_text, ROWS, COLUMNS), marked_HW)
    runs: list[int] = []
    for value, group in itertools.groupby(marked_HW.T.ravel().tolist()):  # column by column
        runs += [0] if value and not runs else []  # zeros come first
        runs.append(len(list(group)))
    as_numbers = {"counts": runs, "size": [ROWS, COLUMNS]}
    np.testing.assert_array_equal(draw_region(as_numbers, ROWS, COLUMNS), marked_HW)


def test_run_lengths_of_long_runs_are_cocos() -> None:
    """More than five bits a length, and differences below zero."""
    large_HW = np.zeros((700, 900), np.uint8)
    large_HW[100:650, 30:800] = 1
    large_HW[300:310, 300:500] = 0
    runs = coco.encode(np.asfortranarray(large_HW))
    region = {"counts": runs["counts"].decode(), "size": [700, 900]}
    np.testing.assert_array_equal(draw_region(region, 700, 900), large_HW.astype(bool))
