"""Renders one picture. Shapes: 3 colours, H rows, W columns.

A scene is a few numbers. The pixels of its object are the same on every background, and every
other pixel is exactly as it is without the object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.synthetic.families import ObjectKind
from tasks.synthetic.primitives import (
    Array,
    Draw,
    Plane,
    Point,
    Sketch,
    box,
    cover,
    direction,
    disc,
    hsv,
    paint,
    picture_plane,
    rgb,
)
from tasks.synthetic.settings import BenchmarkSettings, ObjectSize

# Intended mean areas. Large objects reach about 0.26, since each one stays whole.
AREA: dict[ObjectSize, float] = {"small": 0.08, "default": 0.15, "large": 0.28}
POSE, OBJECT, CLUTTER, BACKGROUND, TAG = range(5)  # one stream of random numbers each


@dataclass(frozen=True)
class Scene:
    """What a picture shows; `dataclasses.replace` gives it another background."""

    label: str
    background: str
    object_seed: int  # pose, colours and clutter
    background_seed: int
    tagged: bool = False


@dataclass(frozen=True)
class Picture:
    """A rendered scene."""

    image_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.bool_]


@dataclass(frozen=True)
class Pose:
    """The position, rotation and size of an object in the picture."""

    centre: Point
    turns: float
    scale: float
    stretch: Point


def render(scene: Scene, settings: BenchmarkSettings) -> Picture:
    """The picture and its exact mask."""
    image_3HW = _draw_backdrop(scene, settings)
    sketch = _draw_object(scene, settings)
    mask_HW = sketch.mask_HW
    np.copyto(image_3HW, sketch.colour_3HW, where=mask_HW)
    return Picture(_to_bytes(image_3HW), mask_HW)


def render_backdrop(scene: Scene, settings: BenchmarkSettings) -> NDArray[np.uint8]:
    """The same picture without its object."""
    return _to_bytes(_draw_backdrop(scene, settings))


def _draw_backdrop(scene: Scene, settings: BenchmarkSettings) -> Array:
    plane, look = picture_plane(settings.image_size), settings.drawing
    kind = look.backgrounds.index(scene.background)
    image_3HW = look.scenes[scene.background](Draw(scene.background_seed, BACKGROUND, kind), plane)
    look.clutter(Draw(scene.object_seed, CLUTTER), image_3HW, plane)
    if scene.tagged:
        _draw_tag(image_3HW, plane, _choose_pose(scene, settings).centre)
    return image_3HW


def _draw_object(scene: Scene, settings: BenchmarkSettings) -> Sketch:
    pose = _choose_pose(scene, settings)
    plane = picture_plane(settings.image_size).transform(pose.centre, pose.turns, pose.scale)
    draw = Draw(scene.object_seed, OBJECT)
    return settings.drawing.objects[scene.label].draw(draw, plane.stretch(*pose.stretch))


def _choose_pose(scene: Scene, settings: BenchmarkSettings) -> Pose:
    """A random pose that keeps the object inside the picture."""
    kind = settings.drawing.objects[scene.label]
    draw = Draw(scene.object_seed, POSE)
    turns = draw.between(-kind.tilt, kind.tilt)
    wide = draw.between(0.9, 1.1)
    stretch = (draw.sign() * wide, 1 / wide)
    reach = _reach(kind, stretch, turns)
    area = AREA[settings.object_size] * draw.between(0.75, 1.25)
    scale = min(float(np.sqrt(area / kind.area)), 0.5 / max(reach))
    x, y = (draw.between(half, 1 - half) for half in (reach[0] * scale, reach[1] * scale))
    return Pose((x, y), turns, scale, stretch)


def _reach(kind: ObjectKind, stretch: Point, turns: float) -> Point:
    """Half the width and height of the turned object, before it is scaled."""
    across, down = abs(stretch[0]) * kind.half[0], stretch[1] * kind.half[1]
    c, s = (abs(part) for part in direction(turns))
    return c * across + s * down, s * across + c * down


def _draw_tag(image_3HW: Array, plane: Plane, away_from: Point) -> None:
    """A price tag in the corner farthest from the object; 1.6% of the picture."""
    x, y = (0.88 if at < 0.5 else 0.12 for at in away_from)
    tag = plane.transform((x, y), 0.04, 0.08)
    body_HW = box(tag, (0, 0), (1, 0.62), 0.2)
    paint(image_3HW, hsv(0.88, 0.85, 0.95), cover(body_HW, tag))
    for line in (-0.15, 0.2):
        paint(image_3HW, rgb(1, 1, 1), 0.9 * cover(box(tag, (0.2, line), (0.5, 0.08)), tag))
    paint(image_3HW, rgb(0.2, 0.05, 0.15), cover(disc(tag, (-0.65, 0), 0.16), tag))


def _to_bytes(image_3HW: Array) -> NDArray[np.uint8]:
    whole = np.clip(image_3HW, 0, 1) * np.float32(255) + np.float32(0.5)
    return np.ascontiguousarray(whole.astype(np.uint8).transpose(1, 2, 0))
