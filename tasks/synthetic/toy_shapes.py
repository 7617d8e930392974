"""Third look, the bodies of the toys: outline, and how light falls on it. H rows, W columns.

An outline is a signed distance. Light multiplies colours, so that it says the shape and no colour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.synthetic.primitives import (
    Array,
    Draw,
    Plane,
    Point,
    box,
    convex,
    direction,
    disc,
    ellipse,
    fade,
)


@dataclass(frozen=True)
class Shape:
    """A body, and its size before it is scaled."""

    outline: Callable[[Draw, Plane], Array]
    light: Callable[[Plane, Array], Array]  # by the outline
    area: float  # mean, measured
    half: Point  # half its width and height


def ball(draw: Draw, plane: Plane) -> Array:
    return ellipse(plane, (0, 0), (0.7, 0.7 * draw.between(0.92, 1.08)))


def light_ball(plane: Plane, outline_HW: Array) -> Array:
    """Brightest at one point above, ever darker away from it."""
    return 1.4 - 1.1 * fade(disc(plane, (-0.15, -0.25), 0), 0.05, 0.95)


def block(draw: Draw, plane: Plane) -> Array:
    return box(plane, (0, 0), (0.87, 0.48 * draw.between(0.92, 1.08)))


def light_block(plane: Plane, outline_HW: Array) -> Array:
    """A bevelled edge, light above and dark below, round a level face."""
    edge_HW = fade(outline_HW, -0.2, -0.14)
    return 1 + edge_HW * (0.45 - 1.05 * fade(plane.y_HW, -0.25, 0.25))


def cone(draw: Draw, plane: Plane) -> Array:
    top, wide = draw.between(-0.76, -0.84), draw.between(0.7, 0.76)
    return convex(plane, [(0, top), (wide, 0.6), (-wide, 0.6)]) - 0.03


def light_cone(plane: Plane, outline_HW: Array) -> Array:
    """Two faces that meet in an upright edge."""
    return 1.25 - 0.75 * fade(plane.x_HW, -0.04, 0.04)


def star(draw: Draw, plane: Plane) -> Array:
    """Five points: the plane is folded until one edge is left, whose distance is exact."""
    tip, depth = 0.86, draw.between(0.42, 0.5)
    x_HW, y_HW = _fold_in_five(plane)
    x_HW, y_HW = np.abs(x_HW), y_HW - tip
    c, s = direction(0.1)
    along_x, along_y = depth * s, depth * c - 1
    length = along_x * along_x + along_y * along_y
    share_HW = np.clip((x_HW * along_x + y_HW * along_y) * (1 / length), 0, tip)
    from_x_HW, from_y_HW = x_HW - along_x * share_HW, y_HW - along_y * share_HW
    distance_HW = np.sqrt(from_x_HW * from_x_HW + from_y_HW * from_y_HW)
    outline: Array = np.where(y_HW * along_x > x_HW * along_y, distance_HW, -distance_HW)
    return outline - 0.03


def light_star(plane: Plane, outline_HW: Array) -> Array:
    """A ridge to each tip, light on one side and dark on the other."""
    x_HW, _ = _fold_in_five(plane)
    ridge_HW = fade(x_HW * ((plane.x_HW > 0) * np.float32(2) - 1), -0.03, 0.03)
    return 1.3 - 0.8 * ridge_HW


def _fold_in_five(plane: Plane) -> tuple[Array, Array]:
    """The plane mirrored into the fifth that points upwards; there, up is positive."""
    x_HW, y_HW = np.abs(plane.x_HW), -plane.y_HW
    for turns in (-0.1, 0.6):
        c, s = direction(turns)
        beyond_HW = 2 * np.maximum(c * x_HW + s * y_HW, 0)
        x_HW, y_HW = x_HW - c * beyond_HW, y_HW - s * beyond_HW
    return x_HW, y_HW


def heart(draw: Draw, plane: Plane) -> Array:
    half = draw.between(0.42, 0.46)
    middle = half * 0.70710678
    point = box(plane.transform((0, 0.02), 0.125), (0, 0), (half, half))
    lobes = [disc(plane, (side * middle, 0.02 - middle), half) for side in (-1, 1)]
    return np.minimum(point, np.minimum(*lobes))


def light_heart(plane: Plane, outline_HW: Array) -> Array:
    """Two cushions with a crease between them."""
    crease_HW = fade(np.abs(plane.x_HW), 0.14, 0.02) * fade(plane.y_HW, 0.4, 0.1)
    return 0.5 + 0.75 * fade(outline_HW, 0, -0.3) - 0.6 * crease_HW


SHAPES = {
    "ball": Shape(ball, light_ball, 1.54, (0.7, 0.76)),
    "block": Shape(block, light_block, 1.67, (0.87, 0.52)),
    "cone": Shape(cone, light_cone, 1.17, (0.82, 0.9)),
    "star": Shape(star, light_star, 1.18, (0.85, 0.89)),
    "heart": Shape(heart, light_heart, 1.38, (0.78, 0.78)),
}
