"""Second look, backgrounds: kitchen, city, meadow, night. Each paints a whole picture."""

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
)


def kitchen(draw: Draw, plane: Plane) -> Array:
    """A tiled wall over a wooden worktop."""
    counter = draw.between(0.68, 0.8)
    image_3HW = _tiles(draw, plane)
    paint(image_3HW, rgb(0.2, 0.18, 0.2), 0.5 * fade(plane.y_HW, counter - 0.12, counter))
    paint(image_3HW, _worktop(draw, plane, counter), cover(counter - plane.y_HW, plane))
    return image_3HW


def _tiles(draw: Draw, plane: Plane) -> Array:
    columns = draw.count(4, 6)
    glaze = hsv(draw.between(0, 1), draw.between(0.05, 0.3), draw.between(0.75, 0.92))
    x_HW = plane.x_HW * columns + draw.between(0, 1)
    y_HW = plane.y_HW * columns + draw.between(0, 1)
    column_HW, row_HW = np.floor(x_HW), np.floor(y_HW)
    shade = draw.lattice(columns + 2, columns + 2)
    tint_HW: Array = shade[row_HW.astype(np.int64), column_HW.astype(np.int64)]
    from_edge_HW = 0.5 - np.maximum(np.abs(x_HW - column_HW - 0.5), np.abs(y_HW - row_HW - 0.5))
    wall_3HW = glaze * (0.84 + 0.22 * tint_HW)
    gloss_HW = fade((x_HW - column_HW) + (y_HW - row_HW), 0.75, 0.3)
    paint(wall_3HW, rgb(1, 1, 1), 0.35 * gloss_HW)
    grout_HW = 1 - fade(from_edge_HW, 0.02, 0.02 + plane.pixel * columns)
    paint(wall_3HW, glaze * 0.62, grout_HW)
    return wall_3HW


def _worktop(draw: Draw, plane: Plane, top: float) -> Array:
    wood = hsv(draw.between(0.05, 0.1), draw.between(0.45, 0.65), draw.between(0.5, 0.75))
    grain_HW = clouds(draw, plane.size, 24, 3, octaves=2)
    wood_3HW = wood * (0.75 + 0.45 * grain_HW)
    paint(
        wood_3HW, rgb(1, 0.95, 0.85), 0.5 * cover(np.abs(plane.y_HW - top - 0.012) - 0.012, plane)
    )
    return wood_3HW


def city(draw: Draw, plane: Plane) -> Array:
    """Rows of houses under an overcast or evening sky, a street in front."""
    hue, street = draw.between(0.55, 1.08), draw.between(0.82, 0.9)
    high = hsv(hue, draw.between(0.15, 0.35), draw.between(0.5, 0.75))
    low = hsv(hue + 0.04, draw.between(0.08, 0.3), draw.between(0.8, 0.95))
    image_3HW = mix(high, low, fade(plane.y_HW, 0, 0.7))
    for depth in (0.35, 0.7, 1.0):
        _houses(draw, image_3HW, plane, depth, low)
    _street(draw, image_3HW, plane, street)
    return image_3HW


def _houses(draw: Draw, image_3HW: Array, plane: Plane, depth: float, air: Colour) -> None:
    """A row of one distance, 0 far to 1 near; the far ones fade into the air."""
    count = int(9 - 5 * depth)
    for house in range(count):
        x = (house + draw.between(0.2, 0.8)) / count
        top = draw.between(0.12, 0.42) + 0.22 * depth
        half = draw.between(0.4, 0.62) / count
        wall = mix(air, hsv(draw.between(0.95, 1.12), draw.between(0.1, 0.5), 0.42), depth)
        share_HW = cover(np.maximum(np.abs(plane.x_HW - x) - half, top - plane.y_HW), plane)
        side_HW = 0.9 + 0.2 * cover(plane.x_HW - x - half * 0.4, plane)
        paint(image_3HW, wall * side_HW, share_HW)
        if depth > 0.5:
            lit = draw.between(0.2, 0.7)
            windows_HW = _windows(draw, plane, (x, top), half, lit)
            paint(image_3HW, mix(air, rgb(1, 0.86, 0.5), depth), windows_HW)


def _windows(
    draw: Draw, plane: Plane, corner: tuple[float, float], half: float, lit: float
) -> Array:
    """Which pixels of a house are lit windows: a grid, some of it dark."""
    across = 3
    x_HW = (plane.x_HW - corner[0] + half) * (across / (2 * half))
    y_HW = (plane.y_HW - corner[1]) * 14 - 0.3
    inside_HW = (x_HW > 0) & (x_HW < across) & (y_HW > 0)
    column_HW = np.clip(np.floor(x_HW), 0, across - 1)
    row_HW = np.clip(np.floor(y_HW), 0, 15)
    lamp_HW: Array = draw.lattice(16, across)[row_HW.astype(np.int64), column_HW.astype(np.int64)]
    pane_HW = np.maximum(np.abs(x_HW - column_HW - 0.5) - 0.28, np.abs(y_HW - row_HW - 0.5) - 0.3)
    return fade(pane_HW, 0.1, -0.1) * ((lamp_HW < lit) & inside_HW)


def _street(draw: Draw, image_3HW: Array, plane: Plane, top: float) -> None:
    asphalt = jitter(draw, rgb(0.3, 0.3, 0.33), 0.2)
    street_3HW = asphalt * (0.85 + 0.3 * noise(draw, plane.size, 32, 32))
    dashes_HW = cover(box(plane, (0, top + 0.06), (2, 0.009)), plane)
    dashes_HW = dashes_HW * (np.floor(plane.x_HW * 6 + draw.between(0, 1)) % 2)
    paint(street_3HW, rgb(0.92, 0.9, 0.8), 0.9 * dashes_HW)
    paint(image_3HW, asphalt * 1.7, cover(top - 0.025 - plane.y_HW, plane))
    paint(image_3HW, street_3HW, cover(top - plane.y_HW, plane))


def meadow(draw: Draw, plane: Plane) -> Array:
    """Grass and flowers that grow towards us, hedges and a pale sky behind."""
    horizon = draw.between(0.2, 0.36)
    high = jitter(draw, rgb(0.6, 0.8, 0.93), 0.1)
    image_3HW = mix(high, jitter(draw, rgb(0.93, 0.95, 0.9), 0.06), fade(plane.y_HW, 0, horizon))
    grass = hsv(draw.between(0.2, 0.3), draw.between(0.55, 0.8), draw.between(0.6, 0.8))
    _hedges(draw, image_3HW, plane, horizon, grass)
    depth_HW = np.clip((plane.y_HW - horizon) * (1 / (1 - horizon)), 0, 1)
    blades_HW = mix(noise(draw, plane.size, 30, 40), noise(draw, plane.size, 9, 30), depth_HW)
    grass_3HW = mix(grass * rgb(1.1, 1.05, 0.8), grass * 0.75, depth_HW) * (0.7 + 0.55 * blades_HW)
    paint(image_3HW, grass_3HW, cover(horizon - plane.y_HW, plane))
    _flowers(draw, image_3HW, plane, horizon)
    return image_3HW


def _hedges(draw: Draw, image_3HW: Array, plane: Plane, horizon: float, grass: Colour) -> None:
    crest_W = horizon - 0.03 - 0.13 * ridge(draw, plane.size, 6)
    leaves_HW = 0.45 + 0.4 * noise(draw, plane.size, 24, 24)
    paint(image_3HW, grass * leaves_HW, cover(crest_W - plane.y_HW, plane))


def _flowers(draw: Draw, image_3HW: Array, plane: Plane, horizon: float) -> None:
    """Petals round a yellow heart; the nearer the larger."""
    hues = [draw.between(0.7, 1.2) for _ in range(2)]
    for flower in range(draw.count(14, 22)):
        near = draw.between(0, 1)
        centre = (draw.between(0, 1), horizon + 0.04 + (0.94 - horizon) * near)
        radius = 0.008 + 0.024 * near
        petals = hsv(hues[flower % 2], draw.between(0.1, 0.75), 0.98)
        paint(image_3HW, petals, cover(ellipse(plane, centre, (radius, radius * 0.8)), plane))
        paint(image_3HW, rgb(1, 0.8, 0.2), cover(disc(plane, centre, radius * 0.4), plane))


def night(draw: Draw, plane: Plane) -> Array:
    """Stars, a band of mist between them, a moon, mountains against the glow."""
    hue = draw.between(0.6, 0.74)
    high, low = (
        hsv(hue, 0.75, draw.between(0.1, 0.2)),
        hsv(hue + 0.06, 0.55, draw.between(0.3, 0.5)),
    )
    image_3HW = mix(high, low, fade(plane.y_HW, 0.1, 1))
    band_HW = fade(np.abs(plane.y_HW - 0.35 + draw.between(-0.6, 0.6) * (plane.x_HW - 0.5)), 0.3, 0)
    mist_HW = band_HW * fade(clouds(draw, plane.size, 5, 5), 0.35, 0.75)
    paint(image_3HW, hsv(hue + draw.between(-0.05, 0.15), 0.4, 0.75), 0.55 * mist_HW)
    _stars(draw, image_3HW, plane)
    _moon(draw, image_3HW, plane)
    for height, light in ((0.8, 0.6), (0.9, 0.3)):
        crest_W = height + 0.2 * (0.5 - ridge(draw, plane.size, 4, octaves=4))
        paint(image_3HW, high * light, cover(crest_W - plane.y_HW, plane))
    return image_3HW


def _stars(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """One star at most in each cell of a grid, so that all sizes show the same sky."""
    cells = 14
    x_HW, y_HW = plane.x_HW * cells, plane.y_HW * cells
    cell = (np.floor(y_HW).astype(np.int64), np.floor(x_HW).astype(np.int64))
    across, down, bright = draw.lattice(3, cells, cells)
    dx_HW = x_HW - np.floor(x_HW) - 0.2 - 0.6 * across[cell]
    dy_HW = y_HW - np.floor(y_HW) - 0.2 - 0.6 * down[cell]
    glow_HW = fade(dx_HW * dx_HW + dy_HW * dy_HW, 0.06, 0) * fade(bright, 0.6, 1)[cell]
    paint(image_3HW, rgb(1, 0.98, 0.92), glow_HW)


def _moon(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    centre, radius = (draw.between(0.1, 0.9), draw.between(0.1, 0.45)), draw.between(0.05, 0.09)
    moon_HW = disc(plane, centre, radius)
    paint(image_3HW, rgb(0.8, 0.82, 0.95), 0.4 * fade(moon_HW, 0.18, 0))
    face_3HW = rgb(0.98, 0.96, 0.86) * (0.75 + 0.3 * noise(draw, plane.size, 16, 16))
    paint(image_3HW, face_3HW, cover(moon_HW, plane))
    if draw.chance(0.5):  # a crescent: the sky's colour over one side
        away = (centre[0] + radius * 0.6, centre[1] - radius * 0.2)
        shadow_HW = cover(disc(plane, away, radius), plane) * cover(moon_HW, plane)
        paint(image_3HW, rgb(0.2, 0.19, 0.32), 0.9 * shadow_HW)


def bubbles(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """Clutter: soap bubbles that float through the picture, the same on every background."""
    for _ in range(draw.count(0, 4)):
        centre = (draw.between(0, 1), draw.between(0, 1))
        radius = draw.between(0.015, 0.045)
        bubble_HW = disc(plane, centre, radius)
        colour = hsv(draw.between(0, 1), draw.between(0.1, 0.4), 1)
        paint(image_3HW, colour, 0.3 * cover(bubble_HW, plane))
        paint(image_3HW, colour, 0.7 * cover(np.abs(bubble_HW) - 0.004, plane))
        glint = (centre[0] - radius * 0.4, centre[1] - radius * 0.4)
        paint(image_3HW, rgb(1, 1, 1), cover(disc(plane, glint, radius * 0.25), plane))
