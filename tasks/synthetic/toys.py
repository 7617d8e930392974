"""Third look, objects: toys of a shape, a texture and a part, each combination a class.

Colours are drawn alike for all classes, so that only outline and pattern identify one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from tasks.synthetic.primitives import (
    Colour,
    Draw,
    Plane,
    Point,
    Sketch,
    clouds,
    cover,
    disc,
    hsv,
    rgb,
)
from tasks.synthetic.toy_parts import PARTS
from tasks.synthetic.toy_shapes import SHAPES
from tasks.synthetic.toy_textures import TEXTURES

INK = rgb(0.06, 0.05, 0.08)
WHITE = rgb(0.98, 0.98, 0.96)


@dataclass(frozen=True)
class Toy:
    """One class."""

    shape: str
    texture: str
    part: str

    @property
    def name(self) -> str:
        return f"{self.texture} {self.shape} with {self.part}"

    @property
    def area(self) -> float:
        """Before it is scaled."""
        return SHAPES[self.shape].area + PARTS[self.part].area

    @property
    def half(self) -> Point:
        """Half its width and height."""
        body, part = SHAPES[self.shape].half, PARTS[self.part].half
        return max(body[0], part[0]), max(body[1], part[1])

    def draw(self, draw: Draw, plane: Plane) -> Sketch:
        first, second = _choose_colours(draw)
        sketch = Sketch(plane)
        PARTS[self.part].draw(draw, sketch)
        shape = SHAPES[self.shape]
        outline_HW = shape.outline(draw, plane)
        body_HW = cover(outline_HW, plane)
        sketch.part(outline_HW, first)
        sketch.mark(TEXTURES[self.texture](draw, plane) * body_HW, second)
        sketch.shade(1 + (shape.light(plane, outline_HW) - 1) * body_HW)
        _light(draw, sketch)
        _eyes(sketch)
        return sketch


TOYS = tuple(Toy(*kind) for kind in product(SHAPES, TEXTURES, PARTS))


def _choose_colours(draw: Draw) -> tuple[Colour, Colour]:
    """A light and a dark one, in either order, so that every texture is seen."""
    hue = draw.between(0, 1)
    light = hsv(hue, draw.between(0.1, 0.75), draw.between(0.85, 1))
    dark = hsv(hue + draw.between(0.2, 0.8), draw.between(0.5, 0.95), draw.between(0.22, 0.45))
    return (light, dark) if draw.chance(0.5) else (dark, light)


def _light(draw: Draw, sketch: Sketch) -> None:
    """From above and one side; a rough surface, a dark rim."""
    plane, side = sketch.plane, draw.between(-0.15, 0.15)
    sketch.shade(1 - 0.1 * plane.y_HW + side * plane.x_HW)
    sketch.shade(0.92 + 0.16 * clouds(draw, plane.size, 12, 12, octaves=2))
    sketch.round_off(0.08, 0.6)


def _eyes(sketch: Sketch) -> None:
    plane = sketch.plane
    folded = Plane(np.abs(plane.x_HW), plane.y_HW, plane.pixel)
    sketch.mark(cover(disc(folded, (0.17, -0.08), 0.11), plane), WHITE)
    sketch.mark(cover(disc(folded, (0.16, -0.06), 0.055), plane), INK)
