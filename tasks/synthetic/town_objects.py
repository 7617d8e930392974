"""Second look, objects: mug, umbrella, butterfly, rocket. It tests what was chosen on the first.

Each fills about the square from -1 to 1; the looks share only primitives.
"""

from __future__ import annotations

import numpy as np

from tasks.synthetic.primitives import (
    Array,
    Colour,
    Draw,
    Plane,
    Sketch,
    box,
    convex,
    cover,
    disc,
    ellipse,
    fade,
    hsv,
    limb,
    mix,
    noise,
    rgb,
    sine,
)

WHITE = rgb(0.97, 0.97, 0.99)
DARK = rgb(0.1, 0.09, 0.12)


def mug(draw: Draw, plane: Plane) -> Sketch:
    glaze = hsv(draw.between(0, 1), draw.between(0.25, 0.85), draw.between(0.6, 0.95))
    sketch = Sketch(plane)
    handle = np.abs(ellipse(plane, (0.6, 0.12), (0.34, 0.36))) - 0.09
    sketch.part(handle, glaze * 0.75)
    body = np.minimum(
        box(plane, (-0.12, 0.1), (0.62, 0.66), 0.16), ellipse(plane, (-0.12, -0.5), (0.62, 0.19))
    )
    sketch.part(body, glaze)
    sketch.mark(_mug_print(draw, plane) * cover(body + 0.02, plane), _second_hue(draw))
    sketch.mark(0.55 * fade(plane.x_HW, 0.0, 0.52) * cover(body, plane), glaze * 0.3)
    sketch.mark(0.5 * cover(box(plane, (-0.52, 0.12), (0.05, 0.42), 0.05), plane, 2), WHITE)
    _mug_mouth(draw, sketch, glaze)
    sketch.round_off(0.07, 0.6)
    return sketch


def _second_hue(draw: Draw) -> Colour:
    return hsv(draw.between(0, 1), draw.between(0.05, 0.8), draw.between(0.8, 1))


def _mug_print(draw: Draw, plane: Plane) -> Array:
    """Stripes, a heart-sized dot, spots or nothing."""
    kind = draw.count(0, 3)
    if kind == 0:
        return cover(np.abs(plane.y_HW - 0.15) - draw.between(0.1, 0.22), plane)
    if kind == 1:
        return cover(disc(plane, (-0.12, 0.15), draw.between(0.2, 0.3)), plane)
    if kind == 2:
        return fade(sine(plane.x_HW * 2.4) * sine(plane.y_HW * 2.4), 0.3, 0.5)
    return np.zeros_like(plane.x_HW)


def _mug_mouth(draw: Draw, sketch: Sketch, glaze: Colour) -> None:
    plane = sketch.plane
    sketch.mark(cover(ellipse(plane, (-0.12, -0.52), (0.62, 0.18)), plane), glaze * 0.4 + 0.55)
    sketch.mark(cover(ellipse(plane, (-0.12, -0.5), (0.52, 0.12)), plane), glaze * 0.35)
    drink = hsv(draw.between(0.04, 0.1), 0.75, draw.between(0.2, 0.4))
    sketch.mark(cover(ellipse(plane, (-0.12, -0.47), (0.46, 0.09)), plane), drink)


def umbrella(draw: Draw, plane: Plane) -> Sketch:
    sketch = Sketch(plane)
    wood = hsv(draw.between(0.04, 0.1), 0.55, draw.between(0.3, 0.6))
    sketch.part(limb(plane, (0, -0.85), (0, 0.72), (0.055, 0.055)), wood)
    hook = np.maximum(np.abs(disc(plane, (0.16, 0.72), 0.16)) - 0.06, 0.72 - plane.y_HW)
    sketch.part(hook, wood)
    top = ellipse(plane, (0, 0.08), (1, draw.between(0.8, 0.92)))
    canopy = np.maximum(top, plane.y_HW - 0.05)
    for x in (-0.75, -0.25, 0.25, 0.75):  # scallops along the lower edge
        canopy = np.maximum(canopy, -ellipse(plane, (x, 0.1), (0.24, 0.13)))
    sketch.part(canopy, _umbrella_cloth(draw, plane))
    sketch.round_off(0.1, 0.6)
    return sketch


def _umbrella_cloth(draw: Draw, plane: Plane) -> Array:
    """Eight panels that meet at the tip, alternately coloured or of one colour, with seams."""
    first = hsv(draw.between(0, 1), draw.between(0.55, 0.95), draw.between(0.55, 0.95))
    second = _second_hue(draw) if draw.chance(0.6) else first
    fall_HW = np.maximum(plane.y_HW + 0.9, 0.05)
    spread_HW = plane.x_HW / (np.sqrt(fall_HW) * 0.98)
    panel_HW = spread_HW * 1.0 + 0.25
    cloth = mix(first, second, fade(sine(panel_HW), -0.2, 0.2))
    seam_HW = np.abs(sine(panel_HW * 0.5 + 0.125) * sine(panel_HW * 0.5 - 0.125))
    light_HW = 1.1 - 0.25 * plane.x_HW - 0.2 * fade(plane.y_HW, -0.3, 0.1)
    shaded: Array = cloth * light_HW * (0.72 + 0.28 * fade(seam_HW, 0.0, 0.25))
    return shaded


def butterfly(draw: Draw, plane: Plane) -> Sketch:
    wing = hsv(draw.between(0, 1), draw.between(0.55, 0.95), draw.between(0.65, 1))
    spot = hsv(draw.between(0, 1), draw.between(0.2, 0.9), draw.between(0.75, 1))
    folded = Plane(np.abs(plane.x_HW), plane.y_HW, plane.pixel)  # both sides are alike
    sketch = Sketch(plane)
    sketch.part(ellipse(folded.transform((0.42, 0.42), 0.1), (0, 0), (0.46, 0.34)), wing * 0.88)
    upper = folded.transform((0.52, -0.3), -0.1)
    sketch.part(ellipse(upper, (0, 0), (0.6, 0.38)), wing)
    veins_HW = fade(np.abs(sine(upper.y_HW * 1.6 + 0.1)), 0.25, 0.02)
    sketch.mark(0.5 * veins_HW, wing * 0.35)
    for centre, radius in (((0.68, -0.45), 0.15), ((0.5, 0.5), 0.13), ((0.34, -0.16), 0.1)):
        size = radius * draw.between(0.8, 1.25)
        sketch.mark(cover(disc(folded, centre, size), plane), spot)
        sketch.mark(cover(disc(folded, centre, size * 0.45), plane), DARK)
    sketch.round_off(0.13, draw.between(0.3, 0.6))
    sketch.shade(1.05 - 0.15 * plane.y_HW)
    body = hsv(draw.between(0, 0.15), 0.4, draw.between(0.12, 0.45))
    sketch.part(limb(folded, (0.02, -0.45), (0.3, -0.85), (0.03, 0.04)), body)
    sketch.part(
        limb(plane, (0, -0.42), (0, 0.6), (0.1, 0.06)), body * (1 + 0.35 * sine(plane.y_HW * 4))
    )
    return sketch


def rocket(draw: Draw, plane: Plane) -> Sketch:
    metal = hsv(draw.between(0, 1), draw.between(0.05, 0.75), draw.between(0.6, 0.98))
    paint_ = hsv(draw.between(0, 1), draw.between(0.6, 0.95), draw.between(0.6, 0.95))
    wide = draw.between(0.3, 0.36)
    sketch = Sketch(plane)
    _rocket_flame(draw, sketch)
    for side in (-1, 1):
        fin = convex(
            plane, [(side * 0.15, 0.05), (side * 0.68, 0.52), (side * 0.62, 0.74), (0, 0.5)]
        )
        sketch.part(fin, paint_ * 0.85)
    hull = np.maximum(ellipse(plane, (0, 0.0), (wide, 1)), plane.y_HW - 0.58)
    sketch.part(hull, metal * (1.02 - 0.5 * plane.x_HW * (1 / wide) * 0.6))
    on_hull_HW = cover(hull, plane)
    sketch.mark(on_hull_HW * cover(plane.y_HW + 0.52, plane), paint_)
    sketch.mark(on_hull_HW * cover(np.abs(plane.y_HW - 0.4) - 0.07, plane), paint_)
    sketch.mark(0.5 * on_hull_HW * fade(np.abs(sine(plane.y_HW * 1.9)), 0.12, 0.02), metal * 0.4)
    _rocket_window(draw, sketch)
    sketch.round_off(0.1, 0.5)
    return sketch


def _rocket_flame(draw: Draw, sketch: Sketch) -> None:
    plane = sketch.plane
    length = draw.between(0.3, 0.42)
    lick_HW = 0.06 * noise(draw, plane.size, 20, 20)
    outer_HW = ellipse(plane, (0, 0.62), (0.22, length)) + lick_HW
    hue = draw.between(0.02, 0.14) if draw.chance(0.6) else draw.between(0.5, 0.65)
    sketch.part(outer_HW, hsv(hue, 0.85, 0.95))
    core = cover(ellipse(plane, (0, 0.6), (0.12, length * 0.7)), plane, 2)
    sketch.mark(core, hsv(hue + 0.03, 0.4, 1))


def _rocket_window(draw: Draw, sketch: Sketch) -> None:
    plane = sketch.plane
    glass = hsv(draw.between(0.45, 0.65), 0.6, 0.85)
    sketch.mark(cover(disc(plane, (0, -0.15), 0.19), plane), DARK + 0.25)
    sketch.mark(cover(disc(plane, (0, -0.15), 0.14), plane), glass)
    sketch.mark(0.8 * cover(disc(plane, (-0.05, -0.2), 0.05), plane), WHITE)
