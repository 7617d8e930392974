"""Third look, backgrounds under the sky: beach, snow, pond, field, pebbles."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from tasks.synthetic.primitives import (
    Array,
    Draw,
    Plane,
    clouds,
    convex,
    cover,
    disc,
    ellipse,
    fade,
    hsv,
    jitter,
    mix,
    noise,
    paint,
    rgb,
    ridge,
    sine,
)

Cells = NDArray[np.int64]  # a row or a column of a grid for each pixel


def beach(draw: Draw, plane: Plane) -> Array:
    """Wet and dry sand from above, and the edge of a wave that runs out on it."""
    sand = jitter(draw, hsv(draw.between(0.08, 0.12), 0.35, 0.85), 0.15)
    image_3HW = sand * (0.82 + 0.26 * noise(draw, plane.size, 32, 32))
    paint(image_3HW, sand * 0.72, 0.35 * clouds(draw, plane.size, 4, 4))
    slope = draw.between(-0.35, 0.35)
    shore_HW = slope * (plane.x_HW - 0.5) + 0.12 * ridge(draw, plane.size, 4)
    from_sea_HW = plane.y_HW - draw.between(0.3, 0.55) - shore_HW
    paint(image_3HW, sand * rgb(0.6, 0.58, 0.6), 0.8 * fade(from_sea_HW, 0.22, 0.1))
    paint(image_3HW, _shallows(draw, plane, from_sea_HW), cover(from_sea_HW, plane, 2))
    foam_HW = fade(np.abs(from_sea_HW), 0.045, 0.015) * (
        0.6 + 0.4 * noise(draw, plane.size, 24, 24)
    )
    paint(image_3HW, rgb(0.98, 0.99, 1), foam_HW)
    _shells(draw, image_3HW, plane)
    return image_3HW


def _shallows(draw: Draw, plane: Plane, from_sea_HW: Array) -> Array:
    hue = draw.between(0.46, 0.56)
    deep, shallow = hsv(hue, 0.75, draw.between(0.45, 0.65)), hsv(hue - 0.03, 0.4, 0.85)
    water_3HW = mix(shallow, deep, fade(from_sea_HW, -0.05, -0.45))
    net_HW = fade(np.abs(clouds(draw, plane.size, 8, 8, octaves=2) - 0.5), 0.06, 0)
    paint(water_3HW, rgb(0.85, 0.98, 0.95), 0.45 * net_HW)
    return water_3HW


def _shells(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    for _ in range(draw.count(1, 4)):
        shell = plane.transform(
            (draw.between(0, 1), draw.between(0.75, 1)), draw.between(0, 1), 0.03
        )
        colour = hsv(draw.between(0, 0.12), draw.between(0.1, 0.4), draw.between(0.7, 0.98))
        paint(image_3HW, colour * 0.45, 0.6 * cover(disc(shell, (0.2, 0.3), 1), shell))
        ribs_HW = 0.8 + 0.2 * sine(shell.x_HW * 1.6)
        paint(image_3HW, colour * ribs_HW, cover(ellipse(shell, (0, 0), (1, 0.8)), shell))


def snow(draw: Draw, plane: Plane) -> Array:
    """White hills with spruces, and flakes in the air."""
    hue = draw.between(0.54, 0.66)
    high, low = hsv(hue, draw.between(0.1, 0.4), 0.75), hsv(hue, 0.08, 0.9)
    image_3HW = mix(high, low, fade(plane.y_HW, 0, 0.45))
    for height, light in ((0.36, 0.86), (0.52, 0.93), (0.74, 1.0)):
        crest_W = height - 0.16 * (ridge(draw, plane.size, 3, octaves=2) - 0.5)
        below_HW = plane.y_HW - crest_W
        drift_HW = fade(clouds(draw, plane.size, 6, 3), 0.35, 0.75)
        snow_3HW = mix(hsv(hue, 0.2, 0.75), rgb(0.98, 0.99, 1), drift_HW) * light
        paint(image_3HW, snow_3HW, cover(-below_HW, plane))
        _spruces(draw, image_3HW, plane, height, light)
    _flakes(draw, image_3HW, plane)
    return image_3HW


def _spruces(draw: Draw, image_3HW: Array, plane: Plane, foot: float, size: float) -> None:
    """Two tiers each, with snow on their upper edges."""
    needles = hsv(draw.between(0.35, 0.5), draw.between(0.3, 0.6), draw.between(0.2, 0.35))
    for _ in range(draw.count(1, 2)):
        tall = draw.between(0.1, 0.18) * size
        tree = plane.transform((draw.between(0, 1), foot), 0, tall)
        upper = convex(tree, [(0, -1.1), (0.36, -0.3), (-0.36, -0.3)])
        lower = convex(tree, [(0, -0.7), (0.5, 0.2), (-0.5, 0.2)])
        tree_HW = np.minimum(upper, lower)
        white_HW = cover(np.abs(tree_HW + 0.06) - 0.05, tree) * fade(tree.x_HW, 0.3, -0.2)
        paint(image_3HW, needles, cover(tree_HW, tree))
        paint(image_3HW, rgb(0.97, 0.98, 1), 0.85 * white_HW * cover(tree_HW, tree))


def _flakes(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """One at most in each cell of a grid, so that all sizes show the same snowfall."""
    cells = 11
    (across_HW, x_HW), (down_HW, y_HW) = (_split(axis * cells) for axis in (plane.x_HW, plane.y_HW))
    right, below, near = draw.lattice(3, cells, cells)
    cell = (down_HW, across_HW)
    dx_HW, dy_HW = x_HW - 0.2 - 0.6 * right[cell], y_HW - 0.2 - 0.6 * below[cell]
    flake_HW = fade(dx_HW * dx_HW + dy_HW * dy_HW, 0.05, 0.01) * fade(near, 0.4, 0.9)[cell]
    paint(image_3HW, rgb(1, 1, 1), 0.9 * flake_HW)


def pond(draw: Draw, plane: Plane) -> Array:
    """Dark water from above, rings of waves, lily pads."""
    hue = draw.between(0.3, 0.55)
    deep = hsv(hue, draw.between(0.5, 0.8), draw.between(0.12, 0.25))
    glint = hsv(hue + 0.08, 0.35, draw.between(0.5, 0.7))
    image_3HW = mix(deep, deep * 1.9, clouds(draw, plane.size, 3, 3))
    drop = (draw.between(0, 1), draw.between(0, 1))
    from_drop_HW = disc(plane, drop, 0)
    rings_HW = fade(sine(from_drop_HW * 7 + draw.between(0, 1)), 0.3, 1)
    paint(image_3HW, glint, 0.6 * rings_HW * fade(from_drop_HW, 0.8, 0.2))
    paint(image_3HW, glint, 0.5 * fade(clouds(draw, plane.size, 16, 4), 0.6, 0.75))
    for _ in range(draw.count(5, 8)):
        _lily_pad(draw, image_3HW, plane)
    return image_3HW


def _lily_pad(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    centre = (draw.between(0, 1), draw.between(0, 1))
    pad = plane.transform(centre, draw.between(0, 1), draw.between(0.06, 0.12))
    leaf = hsv(draw.between(0.22, 0.38), draw.between(0.45, 0.75), draw.between(0.4, 0.7))
    notch_HW = convex(pad, [(0, 0), (1.2, 0.3), (1.2, -0.3)])
    pad_HW = np.maximum(disc(pad, (0, 0), 1), -notch_HW)
    veins_HW = 0.88 + 0.12 * sine(pad.x_HW * 0.9) * sine(pad.y_HW * 0.9)
    paint(image_3HW, leaf * veins_HW, cover(pad_HW, pad))
    paint(image_3HW, leaf * 1.35, 0.7 * cover(np.abs(pad_HW + 0.06) - 0.05, pad))
    if draw.chance(0.3):
        petals = hsv(draw.between(0.85, 1.05), draw.between(0.05, 0.5), 0.98)
        paint(image_3HW, petals, cover(disc(pad, (-0.2, 0), 0.4), pad))
        paint(image_3HW, rgb(0.98, 0.85, 0.3), cover(disc(pad, (-0.2, 0), 0.15), pad))


def field(draw: Draw, plane: Plane) -> Array:
    """Furrows that run towards a low horizon, with rows of a crop between them."""
    horizon, vanish = draw.between(0.16, 0.32), draw.between(0.1, 0.9)
    high, low = hsv(draw.between(0.52, 0.62), 0.45, 0.85), hsv(draw.between(0.05, 0.15), 0.2, 0.97)
    image_3HW = mix(high, low, fade(plane.y_HW, 0, horizon))
    crest_W = horizon - 0.06 * ridge(draw, plane.size, 8)
    wood = hsv(draw.between(0.25, 0.4), 0.4, draw.between(0.25, 0.4))
    paint(image_3HW, wood, cover(crest_W - plane.y_HW, plane))
    earth_3HW = _furrows(draw, plane, horizon, vanish)
    paint(image_3HW, earth_3HW, cover(horizon - plane.y_HW, plane))
    return image_3HW


def _furrows(draw: Draw, plane: Plane, horizon: float, vanish: float) -> Array:
    depth_HW = np.maximum(plane.y_HW - horizon, 0.02)
    earth = hsv(draw.between(0.03, 0.09), draw.between(0.4, 0.65), draw.between(0.3, 0.5))
    crop = hsv(draw.between(0.15, 0.33), draw.between(0.5, 0.8), draw.between(0.5, 0.75))
    row_HW = (plane.x_HW - vanish) / (depth_HW + 0.06) * draw.between(0.9, 1.3)
    ground_3HW = earth * (0.7 + 0.55 * noise(draw, plane.size, 28, 28))
    leaves_HW = noise(draw, plane.size, 20, 28)
    rows_HW = fade(sine(row_HW) + 0.7 * (leaves_HW - 0.5), -0.1, 0.5)
    paint(ground_3HW, crop * (0.6 + 0.6 * leaves_HW), rows_HW)
    paint(ground_3HW, mix(earth, crop, 0.5), fade(depth_HW, 0.12, 0.02))
    return ground_3HW


def pebbles(draw: Draw, plane: Plane) -> Array:
    """Stones that lie close, each of one colour: the cells of scattered points."""
    count = draw.count(7, 9)
    right, below, tint, light = draw.lattice(4, count + 2, count + 2)
    near_HW, second_HW, stone = _nearest_points(plane, count, right, below)
    grey = hsv(draw.between(0, 1), draw.between(0.02, 0.15), draw.between(0.6, 0.8))
    warm = hsv(draw.between(0.02, 0.12), draw.between(0.15, 0.4), draw.between(0.6, 0.85))
    stones_3HW: Array = mix(grey, warm, tint[stone]) * (0.55 + 0.6 * light[stone])
    stones_3HW *= 1.15 - 0.5 * near_HW
    gap_HW = np.sqrt(second_HW) - np.sqrt(near_HW)
    paint(stones_3HW, rgb(0.12, 0.11, 0.12), fade(gap_HW, 0.2, 0.06))
    return stones_3HW


def _nearest_points(
    plane: Plane, count: int, right: Array, below: Array
) -> tuple[Array, Array, tuple[Cells, Cells]]:
    """Of one point in each cell of a grid: the squared distances of each pixel to the nearest and
    to the second, and the cell of the nearest."""
    (row_HW, y_HW), (column_HW, x_HW) = (_split(axis * count) for axis in (plane.y_HW, plane.x_HW))
    near_HW, second_HW = np.full_like(x_HW, 9), np.full_like(x_HW, 9)
    near_row_HW, near_column_HW = row_HW, column_HW
    for down, across in product((0, 1, 2), repeat=2):
        cell = (row_HW + down, column_HW + across)
        dx_HW = x_HW - (across - 1) - 0.15 - 0.7 * right[cell]
        dy_HW = y_HW - (down - 1) - 0.15 - 0.7 * below[cell]
        square_HW = dx_HW * dx_HW + dy_HW * dy_HW
        is_nearer_HW = square_HW < near_HW
        near_row_HW = np.where(is_nearer_HW, cell[0], near_row_HW)
        near_column_HW = np.where(is_nearer_HW, cell[1], near_column_HW)
        np.minimum(second_HW, np.maximum(near_HW, square_HW), out=second_HW)
        np.minimum(near_HW, square_HW, out=near_HW)
    return near_HW, second_HW, (near_row_HW, near_column_HW)


def _split(axis_HW: Array) -> tuple[Cells, Array]:
    """The cell of each pixel, and where in it the pixel lies."""
    whole_HW = np.floor(axis_HW)
    return whole_HW.astype(np.int64), axis_HW - whole_HW
