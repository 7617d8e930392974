"""First look, backgrounds: sea, forest, sky, desert. Each paints a whole picture."""

from __future__ import annotations

import numpy as np

from tasks.synthetic.primitives import (
    Array,
    Colour,
    Draw,
    Plane,
    clouds,
    cover,
    disc,
    ellipse,
    fade,
    hsv,
    jitter,
    limb,
    mix,
    noise,
    paint,
    rgb,
    ridge,
    sine,
)


def sea(draw: Draw, plane: Plane) -> Array:
    horizon = draw.between(0.2, 0.4)
    air = jitter(draw, rgb(0.75, 0.87, 0.95), 0.1)
    high = jitter(draw, rgb(0.42, 0.65, 0.88), 0.15)
    image_3HW = mix(high, air, fade(plane.y_HW, 0, horizon))
    _sun(draw, image_3HW, plane, horizon)
    water_3HW = _water(draw, plane, horizon)
    paint(image_3HW, water_3HW, cover(horizon - plane.y_HW, plane))
    return image_3HW


def _water(draw: Draw, plane: Plane, horizon: float) -> Array:
    """Waves that grow towards us, foam on the highest."""
    far = jitter(draw, rgb(0.32, 0.62, 0.72), 0.15)
    near = jitter(draw, rgb(0.03, 0.24, 0.42), 0.2)
    depth_HW = np.clip((plane.y_HW - horizon) * (1 / (1 - horizon)), 0, 1)
    water_3HW = mix(far, near, depth_HW)
    chop_HW = clouds(draw, plane.size, 10, 5)
    swell_HW = sine(2.6 / (depth_HW + 0.2) + 1.6 * chop_HW + draw.between(0, 1))
    paint(water_3HW, far * 1.15, 0.5 * fade(swell_HW, -0.2, 1))
    paint(water_3HW, near * 0.6, 0.5 * fade(swell_HW, -0.3, -1))
    foam_HW = fade(swell_HW, 0.55, 0.95) * fade(chop_HW, 0.5, 0.62) * (0.3 + 0.7 * depth_HW)
    paint(water_3HW, rgb(0.94, 0.98, 1), foam_HW)
    return water_3HW


def _sun(draw: Draw, image_3HW: Array, plane: Plane, lowest: float) -> None:
    centre = (draw.between(0.05, 0.95), draw.between(0.06, lowest - 0.06))
    if draw.chance(0.6):
        distance_HW = disc(plane, centre, 0.045)
        paint(image_3HW, rgb(1, 0.96, 0.78), 0.5 * fade(distance_HW, 0.2, 0))
        paint(image_3HW, rgb(1, 0.98, 0.86), cover(distance_HW, plane))


def forest(draw: Draw, plane: Plane) -> Array:
    haze = jitter(draw, hsv(0.22, 0.35, 0.72), 0.15)
    leaf = jitter(draw, hsv(draw.between(0.24, 0.36), 0.6, 0.36), 0.15)
    bark = hsv(draw.between(0.04, 0.11), draw.between(0.3, 0.55), draw.between(0.24, 0.38))
    floor = draw.between(0.66, 0.8)
    image_3HW = mix(haze, leaf, 0.9 * clouds(draw, plane.size, 5, 5))
    for depth in (0.35, 0.7):
        _trunks(draw, image_3HW, plane, depth, mix(haze, bark, depth))
    _forest_floor(draw, image_3HW, plane, floor, leaf)
    _trunks(draw, image_3HW, plane, 1.0, bark)
    _canopy(draw, image_3HW, plane, leaf)
    return image_3HW


def _trunks(draw: Draw, image_3HW: Array, plane: Plane, depth: float, bark: Colour) -> None:
    """Trees of one distance, 0 far to 1 near: darker on one side, rough along the grain."""
    count = int(7.5 - 6 * depth) + draw.count(0, 1)
    grain_HW = 0.75 + 0.5 * noise(draw, plane.size, 6, 30)
    foot = 0.6 + 0.34 * depth
    for tree in range(count):
        x = (tree + draw.between(0.1, 0.9)) / count
        half = (0.015 + 0.035 * depth) * draw.between(0.8, 1.4)
        across_HW = plane.x_HW - x + draw.between(-0.06, 0.06) * (plane.y_HW - 0.5)
        wide_HW = half * (1 + 1.2 * fade(plane.y_HW, foot - 0.15, foot + 0.03))
        share_HW = cover(np.abs(across_HW) - wide_HW, plane) * cover(plane.y_HW - foot, plane)
        paint(image_3HW, bark * (grain_HW * (1 - across_HW * (0.4 / half))), share_HW)


def _forest_floor(draw: Draw, image_3HW: Array, plane: Plane, floor: float, leaf: Colour) -> None:
    edge_HW = plane.y_HW - floor + 0.08 * ridge(draw, plane.size, 5)
    earth = jitter(draw, hsv(draw.between(0.1, 0.26), 0.5, 0.34), 0.2)
    blades_HW = noise(draw, plane.size, 14, 32)
    ground_3HW = mix(leaf * 1.25, earth, clouds(draw, plane.size, 8, 5)) * (0.6 + 0.7 * blades_HW)
    paint(image_3HW, ground_3HW, cover(-edge_HW, plane, 2))


def _canopy(draw: Draw, image_3HW: Array, plane: Plane, leaf: Colour) -> None:
    """Leaves hang in from above, lit on their upper side."""
    leaves_HW = clouds(draw, plane.size, 9, 9)
    hang_HW = leaves_HW - 0.25 - 1.1 * plane.y_HW
    lit_HW = 0.55 + 0.9 * noise(draw, plane.size, 22, 22)
    paint(image_3HW, leaf * lit_HW, fade(hang_HW, -0.02, 0.06))


def sky(draw: Draw, plane: Plane) -> Array:
    top = jitter(draw, hsv(draw.between(0.56, 0.63), 0.68, 0.8), 0.12)
    low = jitter(draw, hsv(draw.between(0.52, 0.6), 0.22, 0.95), 0.08)
    image_3HW = mix(top, low, fade(plane.y_HW, 0, 0.95))
    _sun(draw, image_3HW, plane, 0.4)
    _clouds(draw, image_3HW, plane)
    _far_hills(draw, image_3HW, plane)
    _birds(draw, image_3HW, plane)
    return image_3HW


def _clouds(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """Heaps of vapour: white where they thin out above, grey beneath."""
    heap_HW = clouds(draw, plane.size, 4, 3, octaves=4)
    start = draw.between(0.46, 0.56)
    below_HW = np.roll(heap_HW, plane.size // 16, axis=0)
    grey_HW = fade(below_HW - heap_HW, -0.12, 0.16)
    white_3HW = mix(rgb(0.68, 0.74, 0.84), rgb(1, 1, 1), 1 - grey_HW)
    paint(image_3HW, white_3HW, fade(heap_HW, start, start + 0.14) * fade(plane.y_HW, 1, 0.7))


def _far_hills(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    for height, colour in ((0.86, rgb(0.55, 0.67, 0.8)), (0.93, rgb(0.38, 0.52, 0.62))):
        crest_W = height + 0.12 * (0.5 - ridge(draw, plane.size, 3))
        paint(image_3HW, jitter(draw, colour, 0.12), cover(crest_W - plane.y_HW, plane))


def _birds(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    for _ in range(draw.count(0, 2)):
        x, y, wing = draw.between(0.1, 0.9), draw.between(0.1, 0.7), draw.between(0.02, 0.035)
        for side in (-1, 1):
            tip = (x + side * wing, y - wing * 0.6)
            paint(
                image_3HW,
                rgb(0.2, 0.22, 0.28),
                0.9 * cover(limb(plane, (x, y), tip, (0.008, 0.004)), plane),
            )


def desert(draw: Draw, plane: Plane) -> Array:
    horizon = draw.between(0.3, 0.48)
    high = jitter(draw, hsv(draw.between(0.5, 0.58), 0.35, 0.85), 0.12)
    low = jitter(draw, hsv(0.1, 0.25, 0.97), 0.1)
    sand = jitter(draw, hsv(draw.between(0.07, 0.11), 0.55, 0.88), 0.1)
    image_3HW = mix(high, low, fade(plane.y_HW, 0, horizon))
    _sun(draw, image_3HW, plane, horizon)
    _mesas(draw, image_3HW, plane, horizon)
    for depth in (0.0, 0.4, 0.8):
        top = horizon + (0.95 - horizon) * 0.75 * depth
        _dune(draw, image_3HW, plane, top, sand * (0.92 + 0.12 * depth))
    _stones(draw, image_3HW, plane, horizon)
    return image_3HW


def _mesas(draw: Draw, image_3HW: Array, plane: Plane, horizon: float) -> None:
    """Flat mountains far away: a skyline cut off at its top."""
    height_W = 0.14 * fade(ridge(draw, plane.size, 5, octaves=2), 0.45, 0.62)
    rock = jitter(draw, hsv(0.04, 0.42, 0.68), 0.12)
    layers_HW = 0.92 + 0.12 * sine(plane.y_HW * 22)
    paint(image_3HW, rock * layers_HW, cover(horizon - height_W - plane.y_HW, plane))


def _dune(draw: Draw, image_3HW: Array, plane: Plane, top: float, sand: Colour) -> None:
    """One crest with its sunny and its shaded flank, and ripples across."""
    crest_W = top - 0.16 * (ridge(draw, plane.size, 3, octaves=1) - 0.4)
    rise_W = np.diff(crest_W) * (1 / plane.pixel)
    slope_W = np.append(rise_W, rise_W[-1:])
    below_HW = plane.y_HW - crest_W
    flank_HW = fade(slope_W, -0.35, 0.35) * fade(below_HW, 0.3, 0)
    ripples_HW = sine(below_HW * 26 + 2.5 * noise(draw, plane.size, 4, 4))
    sand_3HW = sand * (0.93 + 0.05 * ripples_HW + 0.25 * fade(below_HW, 0.12, 0))
    paint(sand_3HW, sand * rgb(0.6, 0.5, 0.5), 0.75 * flank_HW)
    paint(image_3HW, sand_3HW, cover(-below_HW, plane))


def _stones(draw: Draw, image_3HW: Array, plane: Plane, horizon: float) -> None:
    for _ in range(draw.count(0, 4)):
        y = draw.between(horizon + 0.12, 0.96)
        size = 0.03 * (y - horizon) + 0.01
        x = draw.between(0, 1)
        shadow = ellipse(plane, (x + size, y + size * 0.7), (size * 2.2, size * 0.5))
        paint(image_3HW, rgb(0.4, 0.27, 0.2), 0.6 * cover(shadow, plane, 2))
        grey = hsv(0.06, 0.3, draw.between(0.4, 0.65))
        lit_3HW = grey * (1.0 - (plane.y_HW - y) * (0.35 / size))
        paint(image_3HW, lit_3HW, cover(ellipse(plane, (x, y), (size * 1.6, size)), plane))


def leaves(draw: Draw, image_3HW: Array, plane: Plane) -> None:
    """Clutter: a few leaves in the air, the same on every background."""
    for _ in range(draw.count(0, 4)):
        leaf = plane.transform((draw.between(0, 1), draw.between(0, 1)), draw.between(0, 1), 0.035)
        colour = hsv(draw.between(0.02, 0.35), draw.between(0.5, 0.9), draw.between(0.4, 0.9))
        blade_HW = ellipse(leaf, (0, 0), (1, 0.5))
        paint(image_3HW, colour, cover(blade_HW, leaf))
        paint(
            image_3HW, colour * 0.6, cover(np.abs(leaf.y_HW) - 0.08, leaf) * cover(blade_HW, leaf)
        )
