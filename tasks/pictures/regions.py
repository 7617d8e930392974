"""Draws boxes, polygons and run lengths as masks. Shapes: H rows, W columns of the picture.

Polygons are drawn by COCO's own code, which does not check its input: everything is checked here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from models.errors import RegionError, find_position

OUTLINE = 4_000_000  # pixels along a region's polygons: COCO's code keeps each one five times
KINDS = "a box [x, y, columns, rows], polygons [[x, y, x, y, x, y, ...]] or counts with their size"


def read_regions(text: str) -> list[dict[str, Any]]:
    """The regions of a row, each a box, polygons or run lengths."""
    try:
        regions = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegionError(f"regions are not JSON{find_position(error)}") from error
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise RegionError(f"regions are not a list of objects: each is {KINDS}")
    return regions


def draw_region(region: dict[str, Any], rows: int, columns: int) -> np.ndarray:
    """A region as bool, H W, of the picture's size; run lengths have a size of their own."""
    keys = frozenset(region)
    if keys == {"counts", "size"}:
        return _draw_runs(region["counts"], region["size"], rows * columns)
    draw = _DRAW_FUNCTIONS.get(keys)
    if draw is None:
        raise RegionError(f"its keys are {sorted(keys)}: it must be {KINDS}")
    return draw(next(iter(region.values())), rows, columns)


def _draw_box(box: Any, rows: int, columns: int) -> np.ndarray:
    """The pixels whose centre lies in the box, clipped to the picture."""
    x, y, width, height = _parse_numbers(box, 4)
    if width <= 0 or height <= 0:
        raise RegionError(f"its box {box} has no area")
    _refuse_outside((x, x + width), (y, y + height), rows, columns)
    drawn_HW = np.zeros((rows, columns), bool)
    drawn_HW[_centres_between(y, height, rows), _centres_between(x, width, columns)] = True
    return drawn_HW


def _centres_between(start: float, length: float, most: int) -> slice:
    first, last = (min(max(end, 0.0), most) for end in (start, start + length))
    return slice(math.ceil(first - 0.5), math.ceil(last - 0.5))


def _draw_polygons(polygons: Any, rows: int, columns: int) -> np.ndarray:
    """The union of polygons, as COCO draws them."""
    if not isinstance(polygons, list) or not polygons:
        raise RegionError("its polygons are not a list of lists of numbers")
    points = [_parse_points(polygon) for polygon in polygons]
    steps = sum(np.abs(np.roll(p, -1, 0) - p).max(1).sum() for p in points)
    if steps > OUTLINE:
        raise RegionError(f"its outline is {steps:.3g} pixels long, more than {OUTLINE}")
    for x, y in (point.T for point in points):
        _refuse_outside((x.min(), x.max()), (y.min(), y.max()), rows, columns)
    flat = [point.ravel().tolist() for point in points]
    drawn = coco.merge(coco.frPyObjects(flat, rows, columns))
    return _draw_runs(drawn["counts"].decode(), [rows, columns], rows * columns)


def _parse_points(polygon: Any) -> np.ndarray:
    numbers = _parse_numbers(polygon)
    if len(numbers) < 6 or len(numbers) % 2:
        raise RegionError(
            f"a polygon has {len(numbers)} numbers: at least three points of x and y are needed"
        )
    return np.array(numbers).reshape(-1, 2)


def _draw_runs(counts: Any, size: Any, pixels: int) -> np.ndarray:
    """Alternating lengths of zeros and ones, column by column, as numbers or as COCO's text."""
    rows, columns = (_parse_count(number) for number in _check_list(size))
    lengths = _decode_lengths(counts) if isinstance(counts, str) else _check_list(counts, None)
    runs = [_parse_count(length) for length in lengths]
    if rows * columns != pixels or sum(runs) != pixels:
        raise RegionError(
            f"its run lengths cover {sum(runs)} pixels and its size says {columns}x{rows}: "
            f"the picture has {pixels} pixels"
        )
    ones = np.arange(len(runs)) % 2 == 1
    drawn_WH: np.ndarray = np.repeat(ones, runs).reshape(columns, rows)
    return drawn_WH.T


def _decode_lengths(text: str) -> list[int]:
    """COCO's text: five bits a character, the sixth is set where more follow; from the fourth
    length on, the difference from the length before last."""
    lengths: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        if not 0 <= code < 64 or shift > 60:
            raise RegionError("its counts are not COCO's text")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (code & 16) << (shift - 4)  # the last five bits carry the sign
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


def _refuse_outside(
    x: tuple[float, float], y: tuple[float, float], rows: int, columns: int
) -> None:
    if x[1] <= 0 or y[1] <= 0 or x[0] >= columns or y[0] >= rows:
        raise RegionError(
            f"it lies at x {x[0]:g} to {x[1]:g}, y {y[0]:g} to {y[1]:g}, outside the picture's "
            f"{columns}x{rows} pixels"
        )


def _parse_numbers(values: Any, count: int | None = None) -> list[float]:
    listed = _check_list(values, count)
    if not all(type(value) in (int, float) and abs(value) < 1e9 for value in listed):
        raise RegionError("its coordinates are not numbers of pixels")
    return [float(value) for value in listed]


def _parse_count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise RegionError(f"its counts or size hold {str(value)[:40]}, not a number of pixels")
    return value


def _check_list(values: Any, count: int | None = 2) -> Sequence[Any]:
    if not isinstance(values, list) or (count is not None and len(values) != count):
        expected = "numbers" if count is None else f"{count} numbers"
        raise RegionError(f"it has no list of {expected}: it must be {KINDS}")
    return values


_DRAW_FUNCTIONS: dict[frozenset[str], Callable[[Any, int, int], np.ndarray]] = {
    frozenset({"box"}): _draw_box,
    frozenset({"polygons"}): _draw_polygons,
}
