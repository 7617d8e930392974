"""Third look, backgrounds under a roof: bricks, books, carpet, curtain, planks; and the clutter."""

from __future__ import annotations

import numpy as np

from tasks.synthetic.primitives import (
    Array,
    Colour,
    Draw,
    Plane,
    box,
    clouds,
    cover,
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


def bricks(draw: Draw, plane: Plane) -> Array:
    """A wall, each second course moved by half a brick."""
    rows = draw.count(8, 11)
    y_HW = plane.y_HW * rows + draw.between(0, 1)
    row_HW = np.floor(y_HW)
    x_HW = plane.x_HW * (rows * 0.42) + 0.5 * row_HW + draw.between(0, 1)
    column_HW = np.floor(x_HW)
    tint = draw.lattice(rows + 2, rows * 2)
    tint_HW: Array = tint[row_HW.astype(np.int64), column_HW.astype(np.int64)]
    clay = hsv(draw.between(-0.02, 0.09), draw.between(0.3, 0.7), draw.between(0.5, 0.75))
    wall_3HW: Array = clay * (0.7 + 0.45 * tint_HW) * (0.85 + 0.3 * noise(draw, plane.size, 30, 30))
    edge_HW = np.minimum(
        (0.5 - np.abs(x_HW - column_HW - 0.5)) * 2.2, 0.5 - np.abs(y_HW - row_HW - 0.5)
    )
    mortar = hsv(0.1, 0.08, draw.between(0.6, 0.85))
    paint(wall_3HW, mortar, fade(edge_HW, 0.16, 0.05))
    return wall_3HW


def books(draw: Draw, plane: Plane) -> Array:
    """Shelves full of spines, each with a band."""
    shelves = draw.count(3, 4)
    wood = hsv(draw.between(0.04, 0.1), draw.between(0.3, 0.6), draw.between(0.3, 0.6))
    y_HW = plane.y_HW * shelves + draw.between(0, 1)
    shelf_HW = np.floor(y_HW)
    spines_3HW = _spines(draw, plane, shelf_HW.astype(np.int64), y_HW - shelf_HW)
    grain_HW = 0.85 + 0.3 * noise(draw, plane.size, 40, 4)
    board_HW = np.abs(y_HW - shelf_HW - 0.94) - 0.06
    paint(spines_3HW, wood * grain_HW, cover(board_HW * (1 / shelves), plane))
    return spines_3HW


def _spines(draw: Draw, plane: Plane, shelf_HW: Array, down_HW: Array) -> Array:
    count = draw.count(9, 13)
    x_HW = plane.x_HW * count + 0.37 * shelf_HW
    book_HW = np.floor(x_HW)
    cell = (shelf_HW, book_HW.astype(np.int64))
    hue, light, tall, band = draw.lattice(4, 6, count + 3)
    image_3HW: Array = _hues(hue[cell]) * (0.25 + 0.7 * light[cell])
    across_HW = x_HW - book_HW - 0.5
    image_3HW *= 1.1 - 1.6 * across_HW * across_HW
    paint(
        image_3HW, rgb(0.92, 0.85, 0.6), fade(np.abs(down_HW - 0.3 - 0.3 * band[cell]), 0.07, 0.04)
    )
    above_HW = fade(down_HW - 0.05 - 0.25 * tall[cell], 0.02, -0.02)
    gap_HW = fade(np.abs(across_HW), 0.42, 0.5)
    paint(image_3HW, rgb(0.1, 0.07, 0.06), np.maximum(above_HW, 0.8 * gap_HW))
    return image_3HW


def _hues(turns_HW: Array) -> Array:
    """Muted colours round the circle, one for each pixel."""
    waves = [0.62 + 0.38 * sine(turns_HW + offset) for offset in (0.25, 0.58, 0.91)]
    colour_3HW: Array = np.array(waves, np.float32)
    return colour_3HW


def carpet(draw: Draw, plane: Plane) -> Array:
    """Woven bands of zigzags and lozenges between borders, with the threads to see."""
    turned = plane.transform((0.5, 0.5), draw.between(-0.04, 0.04))
    ground, figure, border = (_wool(draw) for _ in range(3))
    bands = draw.between(2.6, 3.6)
    y_HW = turned.y_HW * bands + draw.between(0, 1)
    band_HW = np.floor(y_HW)
    across_HW = turned.x_HW * bands * 1.5
    fold_HW = np.abs(across_HW - np.floor(across_HW) - 0.5)
    down_HW = y_HW - band_HW - 0.5
    zigzag_HW = fade(np.abs(down_HW - (fold_HW - 0.25) * 0.9), 0.13, 0.09)
    lozenge_HW = fade(np.abs(down_HW) + 0.8 * fold_HW, 0.3, 0.25)
    is_even_HW = band_HW - 2 * np.floor(band_HW * 0.5) < 0.5
    image_3HW = mix(ground, figure, np.where(is_even_HW, zigzag_HW, lozenge_HW))
    paint(image_3HW, border, fade(np.abs(down_HW), 0.42, 0.45))
    threads_HW = 0.84 + 0.2 * noise(draw, plane.size, 40, 40) + 0.06 * sine(plane.y_HW * 16)
    image_3HW *= threads_HW
    return image_3HW


def _wool(draw: Draw) -> Colour:
    return hsv(draw.between(0, 1), draw.between(0.3, 0.8), draw.between(0.3, 0.85))


def curtain(draw: Draw, plane: Plane) -> Array:
    """Folds that hang from a rail, a hem below."""
    cloth = hsv(draw.between(0, 1), draw.between(0.2, 0.75), draw.between(0.55, 0.9))
    sway_HW = 0.05 * sine(plane.y_HW * draw.between(0.3, 0.6) + draw.between(0, 1))
    uneven_W = 0.5 * ridge(draw, plane.size, 5)
    fold_HW = sine((plane.x_HW + sway_HW) * draw.between(5, 7) + uneven_W)
    image_3HW = cloth * (0.72 + 0.32 * fold_HW)
    image_3HW *= 0.94 + 0.12 * noise(draw, plane.size, 36, 36)
    paint(image_3HW, cloth * 0.25, 0.7 * fade(fold_HW, -0.55, -1))
    hem = draw.between(0.86, 0.94)
    paint(image_3HW, cloth * 1.25, 0.6 * fade(np.abs(plane.y_HW - hem), 0.022, 0.01))
    rail = hsv(0.11, draw.between(0.1, 0.7), draw.between(0.4, 0.85))
    across_HW = (plane.y_HW - 0.05) * 30
    paint(image_3HW, rgb(0.1, 0.1, 0.12), 0.6 * fade(plane.y_HW, 0.16, 0.06))
    paint(
        image_3HW, rail * (1.1 - 0.3 * across_HW), cover(np.abs(plane.y_HW - 0.05) - 0.025, plane)
    )
    return image_3HW


def planks(draw: Draw, plane: Plane) -> Array:
    """Boards of a floor, with grain and knots, and the joints between them."""
    turned = plane.transform((0.5, 0.5), draw.between(-0.05, 0.05))
    boards = draw.between(4.2, 6.2)
    x_HW = turned.x_HW * boards + 10
    board_HW = np.floor(x_HW)
    cell = board_HW.astype(np.int64)
    shade, shift, joint = draw.lattice(3, 24)
    wood = jitter(draw, hsv(draw.between(0.05, 0.11), draw.between(0.4, 0.7), 0.7), 0.2)
    across_HW = x_HW - board_HW
    along_HW = turned.y_HW + shift[cell]
    bend_HW = clouds(draw, plane.size, 3, 8, octaves=2)
    grain_HW = sine(across_HW * 2.6 + 1.5 * bend_HW + 0.4 * along_HW)
    image_3HW: Array = wood * (0.68 + 0.34 * shade[cell]) * (0.92 + 0.1 * grain_HW)
    _knots(draw, image_3HW, plane, wood)
    seam_HW = np.minimum(across_HW, 1 - across_HW) * (1 / boards)
    end_HW = np.abs(turned.y_HW + 0.5 - joint[cell])
    paint(image_3HW, wood * 0.22, fade(np.minimum(seam_HW, end_HW), 0.014, 0.004))
    return image_3HW


def _knots(draw: Draw, image_3HW: Array, plane: Plane, wood: Colour) -> None:
    for _ in range(draw.count(1, 4)):
        knot = plane.transform((draw.between(0, 1), draw.between(0, 1)), 0, 0.035)
        square_HW = knot.x_HW * knot.x_HW + 0.4 * knot.y_HW * knot.y_HW
        paint(image_3HW, wood * 0.4, 0.8 * fade(square_HW, 1, 0.2))


def confetti(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """Clutter: a few scraps of paper, the same on every background."""
    for _ in range(draw.count(0, 4)):
        centre = (draw.between(0, 1), draw.between(0, 1))
        scrap = plane.transform(centre, draw.between(0, 1), draw.between(0.02, 0.035))
        colour = hsv(draw.between(0, 1), draw.between(0.3, 0.9), draw.between(0.6, 1))
        paint(image_3HW, colour, cover(box(scrap, (0, 0), (1, 0.6)), scrap))
        paint(image_3HW, colour * 0.6, cover(box(scrap, (0.5, 0), (0.5, 0.6)), scrap))
