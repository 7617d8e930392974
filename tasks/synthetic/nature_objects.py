"""First look, objects: fish, mushroom, balloon, cactus. Each fills about the square from -1 to 1.

Hues are drawn from wide, overlapping ranges, so that only outline and parts identify a class.
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
    clouds,
    convex,
    cover,
    disc,
    ellipse,
    fade,
    hsv,
    limb,
    mix,
    rgb,
    sine,
)

INK = rgb(0.07, 0.06, 0.09)


def fish(draw: Draw, plane: Plane) -> Sketch:
    skin = hsv(draw.between(0, 1), draw.between(0.55, 0.9), draw.between(0.7, 1))
    fins = hsv(draw.between(0, 1), draw.between(0.5, 0.85), draw.between(0.6, 0.95))
    deep = draw.between(0.4, 0.52)
    sketch = Sketch(plane)
    _fish_fins(sketch, fins, deep)
    sketch.part(ellipse(plane, (0.12, 0), (0.76, deep)), skin)
    sketch.mark(_fish_pattern(draw, plane), hsv(draw.between(0, 1), 0.4, draw.between(0.3, 1)))
    sketch.mark(0.55 * fade(plane.y_HW, 0.02, deep), rgb(1, 0.97, 0.88))
    _light(draw, sketch, plane)
    _fish_head(sketch, skin)
    return sketch


def _fish_fins(sketch: Sketch, colour: Colour, deep: float) -> None:
    plane = sketch.plane
    rays = colour * (0.86 + 0.14 * sine(plane.y_HW * 6))
    for side in (-1, 1):
        sketch.part(convex(plane, [(-0.42, 0), (-1, side * 0.52), (-0.8, 0)]), rays)
    sketch.part(
        convex(plane, [(-0.32, -deep * 0.6), (-0.2, -deep - 0.3), (0.42, -deep * 0.6)]), rays
    )
    sketch.part(convex(plane, [(-0.1, deep * 0.7), (-0.16, deep + 0.22), (0.2, deep * 0.7)]), rays)


def _fish_pattern(draw: Draw, plane: Plane) -> Array:
    """Bands, scales or a plain side."""
    kind = draw.count(0, 2)
    waves = draw.between(1.6, 2.6)
    if kind == 0:
        return 0.8 * fade(sine(plane.x_HW * waves + draw.between(0, 1)), 0.1, 0.5)
    if kind == 1:
        return 0.6 * fade(sine(plane.x_HW * 4) * sine(plane.y_HW * 4), 0.1, 0.6)
    return 0.5 * fade(plane.y_HW, 0.05, -0.3)


def _fish_head(sketch: Sketch, skin: Colour) -> None:
    plane = sketch.plane
    gill = np.abs(disc(plane, (0.66, 0), 0.36)) - 0.02
    sketch.mark(0.5 * cover(gill, plane) * fade(plane.x_HW, 0.46, 0.4), skin * 0.4)
    sketch.mark(cover(limb(plane, (0.7, 0.16), (0.86, 0.1), (0.025, 0.025)), plane), INK)
    sketch.mark(cover(disc(plane, (0.55, -0.12), 0.115), plane), rgb(1, 1, 1))
    sketch.mark(cover(disc(plane, (0.58, -0.12), 0.06), plane), INK)


def mushroom(draw: Draw, plane: Plane) -> Sketch:
    cap = hsv(draw.between(-0.12, 0.14), draw.between(0.6, 0.95), draw.between(0.5, 0.95))
    if draw.chance(0.35):
        cap = hsv(draw.between(0, 1), draw.between(0.45, 0.8), draw.between(0.5, 0.95))
    flesh = hsv(draw.between(0.06, 0.14), draw.between(0.08, 0.25), draw.between(0.85, 0.98))
    thick, tall = draw.between(0.17, 0.25), draw.between(0.72, 0.9)
    sketch = Sketch(plane)
    sketch.part(limb(plane, (0, 0), (0, 0.85), (thick, thick + 0.09)), flesh)
    sketch.mark(0.35 * fade(sine(plane.x_HW * 5), 0.2, 0.9), flesh * 0.6)
    sketch.mark(0.45 * fade(plane.y_HW, 0.45, 0.12), flesh * 0.35)
    sketch.part(ellipse(plane, (0, 0.08), (0.88, 0.17)), flesh * 0.72)
    sketch.mark(0.4 * fade(sine(plane.x_HW * 7), 0, 0.8) * _below(plane, 0.08), flesh * 0.4)
    dome = np.maximum(ellipse(plane, (0, 0.1), (0.95, tall)), plane.y_HW - 0.1)
    sketch.part(dome, cap)
    _mushroom_dots(draw, sketch, dome)
    _light(draw, sketch, plane)
    return sketch


def _below(plane: Plane, y: float) -> Array:
    return fade(plane.y_HW, y, y + 0.05)


def _mushroom_dots(draw: Draw, sketch: Sketch, dome_HW: Array) -> None:
    plane = sketch.plane
    on_dome_HW = cover(dome_HW, plane)
    white = rgb(1, 0.98, 0.92)
    if draw.chance(0.2):
        return
    for x in (-0.62, -0.2, 0.22, 0.64):
        y = draw.between(-0.42, -0.05) - 0.25 * (0.6 - abs(x))
        size = draw.between(0.08, 0.15)
        spot = ellipse(plane, (x + draw.between(-0.1, 0.1), y), (size, size * 0.8))
        sketch.mark(cover(spot, plane) * on_dome_HW, white)


def balloon(draw: Draw, plane: Plane) -> Sketch:
    sketch = Sketch(plane)
    rope = rgb(0.25, 0.18, 0.12)
    for side in (-1, 1):
        sketch.part(limb(plane, (side * 0.16, 0.4), (side * 0.12, 0.8), (0.035, 0.035)), rope)
    wicker = hsv(0.08, draw.between(0.5, 0.7), draw.between(0.45, 0.7))
    weave = wicker * (0.85 + 0.2 * sine(plane.x_HW * 9) * sine(plane.y_HW * 9))
    sketch.part(box(plane, (0, 0.85), (0.17, 0.13), 0.03), weave)
    taper = convex(plane, [(-0.6, 0.02), (0.6, 0.02), (0.17, 0.58), (-0.17, 0.58)])
    envelope = np.minimum(disc(plane, (0, -0.28), 0.69), taper)
    sketch.part(envelope, _balloon_cloth(draw, plane))
    _light(draw, sketch, plane)
    return sketch


def _balloon_cloth(draw: Draw, plane: Plane) -> Array:
    """Gores that narrow towards the sides, as on a sphere, and sometimes a belt."""
    first = hsv(draw.between(0, 1), draw.between(0.6, 0.95), draw.between(0.65, 1))
    second = hsv(draw.between(0, 1), draw.between(0.1, 0.9), draw.between(0.75, 1))
    y_HW = plane.y_HW + 0.28
    across_HW = np.sqrt(np.maximum(0.48 - y_HW * y_HW, 0.02))
    u_HW = np.clip(plane.x_HW / across_HW, -1, 1)
    turned_HW = u_HW * (0.7 + 0.3 * u_HW * u_HW)
    gores = fade(sine(turned_HW * draw.between(1.5, 2.6) + draw.between(0, 1)), -0.15, 0.15)
    cloth: Array = mix(first, second, gores)
    if draw.chance(0.4):
        third = hsv(draw.between(0, 1), 0.7, draw.between(0.5, 1))
        cloth = mix(cloth, third, cover(np.abs(y_HW - draw.between(-0.1, 0.2)) - 0.13, plane))
    return cloth * (0.93 + 0.07 * sine(turned_HW * 5))


def cactus(draw: Draw, plane: Plane) -> Sketch:
    flesh = hsv(draw.between(0.2, 0.47), draw.between(0.4, 0.75), draw.between(0.45, 0.8))
    sketch = Sketch(plane)
    thick = draw.between(0.22, 0.28)
    for side in (-1, 1):
        _cactus_arm(draw, sketch, side, flesh)
    trunk = limb(plane, (0, -0.72), (0, 0.78), (thick, thick + 0.02))
    sketch.part(trunk, _ribs(flesh, plane.x_HW, thick))
    speckle = fade(sine(plane.x_HW * 6.5) * sine(plane.y_HW * 5), 0.55, 0.8)
    sketch.mark(0.7 * speckle, rgb(0.97, 0.95, 0.75))
    if draw.chance(0.6):
        bloom = hsv(draw.between(0.8, 1.15), draw.between(0.5, 0.8), 1)
        petals = bloom * (0.85 + 0.2 * sine(plane.x_HW * 7))
        sketch.part(ellipse(plane, (0, -0.96), (0.2, 0.13)), petals)
    _light(draw, sketch, plane)
    return sketch


def _cactus_arm(draw: Draw, sketch: Sketch, side: int, flesh: Colour) -> None:
    plane = sketch.plane
    x, y = side * draw.between(0.52, 0.66), draw.between(-0.05, 0.4)
    top = y - draw.between(0.3, 0.6)
    sketch.part(limb(plane, (0, y), (x, y), (0.15, 0.15)), flesh * 0.85)
    sketch.part(limb(plane, (x, y), (x, top), (0.16, 0.14)), _ribs(flesh, plane.x_HW - x, 0.16))


def _ribs(flesh: Colour, x_HW: Array, half: float) -> Array:
    """Upright grooves, and light that falls off towards the sides."""
    across_HW = x_HW * (1 / half)
    ribs_HW = 0.82 + 0.18 * sine(across_HW * 1.3 + 0.25)
    ribbed: Array = flesh * (ribs_HW * (1.05 - 0.3 * across_HW * across_HW))
    return ribbed


def _light(draw: Draw, sketch: Sketch, plane: Plane) -> None:
    """From above and one side; a rough surface, a dark rim."""
    side = draw.between(-0.25, 0.25)
    sketch.shade(1.05 - 0.22 * plane.y_HW + side * plane.x_HW)
    sketch.shade(0.9 + 0.2 * clouds(draw, plane.size, 12, 12, octaves=2))
    sketch.round_off(0.16, 0.5)
