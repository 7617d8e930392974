"""Drawing on float32 arrays. Shapes: 3 colours (0 to 1), H rows, W columns.

A seed must give the same bytes on every machine. So pixels come only from operations that IEEE 754
rounds exactly (+ - * / sqrt floor and comparisons) and from `Generator.random`: no sin, exp, power,
sum or matrix product, whose last digit depends on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]  # float32 throughout, as a test checks
Number = TypeVar("Number", float, NDArray[np.floating[Any]])
Colour = Array  # 3x1x1
Point = tuple[float, float]


class Draw:
    """Random draws for one thing of one picture."""

    def __init__(self, *key: int) -> None:
        self._generator = np.random.default_rng(key)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self._generator.random())

    def chance(self, probability: float) -> bool:
        return float(self._generator.random()) < probability

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both possible."""
        return low + int((high - low + 1) * float(self._generator.random()))

    def sign(self) -> float:
        return 1.0 if self.chance(0.5) else -1.0

    def lattice(self, *shape: int) -> Array:
        return self._generator.random(shape, dtype=np.float32)


def sine(turns: Number) -> Number:
    """sin(2 pi turns) to three digits, from a parabola: exact rounding on every machine."""
    folded = turns - np.floor(turns + 0.5)
    bow = 8.0 * folded - 16.0 * folded * abs(folded)
    wave: Number = 0.775 * bow + 0.225 * bow * abs(bow)
    return wave


def direction(turns: float) -> Point:
    """Cosine and sine of an angle in turns."""
    c, s = float(sine(turns + 0.25)), float(sine(turns))
    length = float(np.sqrt(c * c + s * s))
    return c / length, s / length


@dataclass(frozen=True)
class Plane:
    """The coordinates of each pixel: x right, y down; `pixel` is its side in the same unit."""

    x_HW: Array
    y_HW: Array
    pixel: float

    @property
    def size(self) -> int:
        return len(self.x_HW)

    def transform(self, centre: Point, turns: float = 0.0, scale: float = 1.0) -> Plane:
        """The same pixels in the coordinates of a shape at `centre`, turned and scaled."""
        c, s = direction(turns)
        x_HW, y_HW = self.x_HW - centre[0], self.y_HW - centre[1]
        return Plane(
            (c * x_HW + s * y_HW) * (1 / scale),
            (c * y_HW - s * x_HW) * (1 / scale),
            self.pixel / scale,
        )

    def stretch(self, across: float, down: float) -> Plane:
        """Coordinates that make a shape wider and taller; a negative factor mirrors it."""
        return Plane(self.x_HW * (1 / across), self.y_HW * (1 / down), self.pixel)


@lru_cache(maxsize=8)
def picture_plane(size: int) -> Plane:
    """The picture itself: corners at (0, 0) and (1, 1)."""
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x_HW, y_HW = np.meshgrid(centres, centres)
    return Plane(x_HW, y_HW, 1 / size)


# Colours


def rgb(red: float, green: float, blue: float) -> Colour:
    return np.array([red, green, blue], np.float32)[:, None, None]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Hue in turns: 0 red, 1/3 green, 2/3 blue."""

    def channel(offset: float) -> float:
        distance = abs((hue * 6 + offset) % 6 - 3)
        return value * (1 - saturation * min(1.0, max(0.0, 2 - distance)))

    return rgb(channel(0), channel(4), channel(2))


def jitter(draw: Draw, colour: Colour, amount: float) -> Colour:
    """A colour near this one in hue and brightness."""
    light = 1 + draw.between(-amount, amount)
    tint = (draw.lattice(3, 1, 1) - 0.5) * amount
    shifted: Colour = np.clip(colour * (light + tint), 0, 1, dtype=np.float32)
    return shifted


def mix(first: Array, second: Array, share: Array | float) -> Array:
    return first + (second - first) * share


def paint(image_3HW: Array, colour: Array, share: Array | float) -> None:
    """Lay a colour over the picture, in place; `share` is how much of it covers each pixel."""
    image_3HW += (colour - image_3HW) * share


# Signed distances: negative inside


def disc(plane: Plane, centre: Point, radius: float) -> Array:
    x_HW, y_HW = plane.x_HW - centre[0], plane.y_HW - centre[1]
    distance: Array = np.sqrt(x_HW * x_HW + y_HW * y_HW) - radius
    return distance


def ellipse(plane: Plane, centre: Point, radii: Point) -> Array:
    """The distance is exact to first order near the outline, which suffices for an edge."""
    x_HW = (plane.x_HW - centre[0]) * (1 / radii[0])
    y_HW = (plane.y_HW - centre[1]) * (1 / radii[1])
    length_HW = np.sqrt(x_HW * x_HW + y_HW * y_HW) + 1e-6
    u_HW, v_HW = x_HW * (1 / radii[0]), y_HW * (1 / radii[1])
    slope_HW = np.sqrt(u_HW * u_HW + v_HW * v_HW) + 1e-6
    distance: Array = length_HW * (length_HW - 1) / slope_HW
    return distance


def limb(plane: Plane, start: Point, end: Point, radii: Point) -> Array:
    """A segment with round ends whose radius runs from the first to the second."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x_HW, y_HW = plane.x_HW - start[0], plane.y_HW - start[1]
    along_HW = np.clip((x_HW * dx + y_HW * dy) * (1 / (dx * dx + dy * dy)), 0, 1)
    x_HW, y_HW = x_HW - along_HW * dx, y_HW - along_HW * dy
    distance: Array = np.sqrt(x_HW * x_HW + y_HW * y_HW) - (
        radii[0] + (radii[1] - radii[0]) * along_HW
    )
    return distance


def box(plane: Plane, centre: Point, half: Point, corner: float = 0.0) -> Array:
    x_HW = np.abs(plane.x_HW - centre[0]) - (half[0] - corner)
    y_HW = np.abs(plane.y_HW - centre[1]) - (half[1] - corner)
    right_HW, below_HW = np.maximum(x_HW, 0), np.maximum(y_HW, 0)
    outside_HW = np.sqrt(right_HW * right_HW + below_HW * below_HW)
    distance: Array = outside_HW + np.minimum(np.maximum(x_HW, y_HW), 0) - corner
    return distance


def convex(plane: Plane, points: Sequence[Point]) -> Array:
    """A convex polygon, its corners in either order."""
    (ax, ay), (bx, by), (cx, cy) = points[:3]
    clockwise = (bx - ax) * (cy - by) > (by - ay) * (cx - bx)
    corners = list(points) if clockwise else list(reversed(points))
    distance_HW = np.full_like(plane.x_HW, -np.inf)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        dx, dy = bx - ax, by - ay
        length = float(np.sqrt(dx * dx + dy * dy))
        nx, ny = dy / length, -dx / length
        side_HW = plane.x_HW * nx + (plane.y_HW * ny - (ax * nx + ay * ny))
        np.maximum(distance_HW, side_HW, out=distance_HW)
    return distance_HW


def cover(distance_HW: Array, plane: Plane, soft: float = 1.0) -> Array:
    """How much of each pixel a shape covers; `soft` blurs the edge over that many pixels."""
    share: Array = np.clip(0.5 - distance_HW * (1 / (plane.pixel * soft)), 0, 1)
    return share


def fade(value_HW: Array, start: float, end: float) -> Array:
    """0 at start, 1 at end, smooth between."""
    step_HW = np.clip((value_HW - start) * (1 / (end - start)), 0, 1)
    smooth: Array = step_HW * step_HW * (3 - 2 * step_HW)
    return smooth


# Noise: random lattices, enlarged


@lru_cache(maxsize=128)
def _lattice_positions(size: int, cells: int) -> tuple[NDArray[np.int64], Array]:
    """For each pixel the lattice point before it and its smooth share of the next one."""
    position = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    before = np.floor(position)
    share = position - before
    return before.astype(np.int64), share * share * (3 - 2 * share)


def noise(draw: Draw, size: int, rows: int, columns: int) -> Array:
    """A smooth random field, 0 to 1, with about `rows` by `columns` bumps."""
    lattice = draw.lattice(rows + 1, columns + 1)
    row, down = _lattice_positions(size, rows)
    column, across = _lattice_positions(size, columns)
    tall = mix(lattice[row], lattice[row + 1], down[:, None])
    field: Array = mix(tall[:, column], tall[:, column + 1], across)
    return field


def clouds(draw: Draw, size: int, rows: int, columns: int, octaves: int = 3) -> Array:
    """Noise on noise, each octave twice as fine and half as strong; 0 to 1."""
    total_HW, weight = noise(draw, size, rows, columns), 1.0
    for octave in range(1, octaves):
        share = 0.5**octave
        total_HW += share * noise(draw, size, rows << octave, columns << octave)
        weight += share
    return total_HW * np.float32(1 / weight)


def ridge(draw: Draw, size: int, bumps: int, octaves: int = 3) -> Array:
    """A random skyline: heights 0 to 1 across the picture."""
    total_W, weight = np.zeros(size, np.float32), 0.0
    for octave in range(octaves):
        lattice = draw.lattice((bumps << octave) + 1)
        column, across = _lattice_positions(size, bumps << octave)
        total_W += 0.5**octave * mix(lattice[column], lattice[column + 1], across)
        weight += 0.5**octave
    return total_W * np.float32(1 / weight)


class Sketch:
    """An object built from parts; its mask is the pixels that it covers by half or more."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self._paint_3HW = np.zeros((3, plane.size, plane.size), np.float32)
        self._cover_HW = np.zeros((plane.size, plane.size), np.float32)
        self._distance_HW = np.full((plane.size, plane.size), np.inf, np.float32)

    def part(self, distance_HW: Array, colour: Array) -> None:
        """Draw a part over the earlier ones; it may extend the outline."""
        share_HW = cover(distance_HW, self.plane)
        self._paint_3HW += (colour - self._paint_3HW) * share_HW
        self._cover_HW += (1 - self._cover_HW) * share_HW
        np.minimum(self._distance_HW, distance_HW, out=self._distance_HW)

    def mark(self, share_HW: Array, colour: Array) -> None:
        """Colour the existing parts; the outline stays."""
        paint(self._paint_3HW, colour * self._cover_HW, share_HW)

    def shade(self, light_HW: Array) -> None:
        """Multiply the colours: 1 leaves them."""
        self._paint_3HW *= light_HW

    def round_off(self, width: float, darkest: float) -> None:
        """Darken towards the outline, as a solid body does."""
        self.shade(darkest + (1 - darkest) * fade(self._distance_HW, 0, -width))

    @property
    def mask_HW(self) -> NDArray[np.bool_]:
        return self._cover_HW >= 0.5

    @property
    def colour_3HW(self) -> Array:
        """Without background colour at the outline, so that objects look the same everywhere."""
        colour: Array = self._paint_3HW / np.maximum(self._cover_HW, np.float32(1e-3))
        return colour
