"""Third look, what sticks out from behind the body of a toy: ears, legs, wings or a tail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.synthetic.primitives import (
    Colour,
    Draw,
    Plane,
    Point,
    Sketch,
    box,
    convex,
    cover,
    disc,
    ellipse,
    fade,
    hsv,
    limb,
    rgb,
    sine,
)

PALE = rgb(0.97, 0.9, 0.88)
DARK = rgb(0.13, 0.1, 0.12)


@dataclass(frozen=True)
class Part:
    """A part begins within every body and ends outside."""

    draw: Callable[[Draw, Sketch], None]
    area: float  # beyond the body, mean over bodies, measured
    half: Point  # from the middle of the body to its ends


def ears(draw: Draw, sketch: Sketch) -> None:
    """Pointed and upright, pale inside."""
    folded, tip = _folded(sketch.plane), (draw.between(0.46, 0.56), draw.between(-1.02, -1.12))
    ear = convex(folded, [(0.05, -0.3), tip, (0.72, -0.2)])
    sketch.part(ear - 0.04, _choose_colour(draw))
    sketch.mark(cover(ear + 0.09, sketch.plane), PALE)


def legs(draw: Draw, sketch: Sketch) -> None:
    """In dark shoes."""
    folded, x, foot = _folded(sketch.plane), draw.between(0.24, 0.32), draw.between(0.9, 0.98)
    sketch.part(limb(folded, (x, 0.1), (x, foot), (0.15, 0.14)), _choose_colour(draw))
    sketch.part(box(folded, (x + 0.12, foot + 0.02), (0.29, 0.13), 0.1), DARK)


def wings(draw: Draw, sketch: Sketch) -> None:
    """Round, with feathers."""
    wing = _folded(sketch.plane).transform(
        (0.76, draw.between(-0.16, -0.04)), draw.between(-0.09, -0.03)
    )
    colour = _choose_colour(draw)
    sketch.part(ellipse(wing, (0, 0), (0.46, draw.between(0.3, 0.36))), colour)
    sketch.mark(0.7 * fade(sine(wing.y_HW * 4.5), 0, 0.6) * fade(wing.x_HW, -0.1, 0.1), PALE)


def tail(draw: Draw, sketch: Sketch) -> None:
    """To one side, bent upwards, in rings."""
    plane, colour = sketch.plane, _choose_colour(draw)
    bend, tip = (0.92, draw.between(0.4, 0.5)), (draw.between(0.88, 0.96), draw.between(-0.5, -0.4))
    upright = limb(plane, bend, tip, (0.17, 0.2))
    sketch.part(np.minimum(limb(plane, (0.1, 0.42), bend, (0.15, 0.17)), upright), colour)
    sketch.mark(cover(upright, plane) * fade(sine(plane.y_HW * 2.6), -0.2, 0.2), DARK)
    sketch.mark(cover(disc(plane, tip, 0.17), plane), PALE)


def _choose_colour(draw: Draw) -> Colour:
    return hsv(draw.between(0, 1), draw.between(0.4, 0.9), draw.between(0.45, 0.95))


def _folded(plane: Plane) -> Plane:
    """Both sides alike."""
    return Plane(np.abs(plane.x_HW), plane.y_HW, plane.pixel)


PARTS = {
    "ears": Part(ears, 0.44, (0.8, 1.23)),
    "legs": Part(legs, 0.46, (0.74, 1.14)),
    "wings": Part(wings, 0.62, (1.23, 0.53)),
    "tail": Part(tail, 0.5, (1.17, 0.72)),
}
