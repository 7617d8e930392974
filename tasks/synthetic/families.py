"""The looks of the benchmark: families of objects and scenes that share only primitives.

The shortcut pairs each class with a background of its own; in the third look, ten classes share
each. Those ten have all shapes, and several textures and parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tasks.synthetic import (
    nature_objects,
    nature_scenes,
    town_objects,
    town_scenes,
    toy_indoor_scenes,
    toy_outdoor_scenes,
)
from tasks.synthetic.primitives import Array, Draw, Plane, Point, Sketch
from tasks.synthetic.toys import TOYS

LookName = Literal["first", "second", "third"]


@dataclass(frozen=True)
class ObjectKind:
    """How to draw a class, and its size before it is scaled (half a picture = 1)."""

    draw: Callable[[Draw, Plane], Sketch]
    area: float  # mean, measured
    half: Point  # half its width and height
    tilt: float  # turns, to either side


@dataclass(frozen=True)
class Look:
    """Classes, kinds of background, and the clutter of any picture."""

    objects: dict[str, ObjectKind]
    scenes: dict[str, Callable[[Draw, Plane], Array]]
    clutter: Callable[[Draw, Array, Plane], None]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.objects)

    @property
    def backgrounds(self) -> tuple[str, ...]:
        return tuple(self.scenes)

    def own_background(self, label: str) -> str:
        """The background that the shortcut pairs with a class."""
        kind, kinds = self.classes.index(label), len(self.scenes)
        return self.backgrounds[(kind + kind // kinds) % kinds]


LOOKS: dict[LookName, Look] = {
    "first": Look(
        {
            "fish": ObjectKind(nature_objects.fish, 1.36, (1.0, 0.8), 0.1),
            "mushroom": ObjectKind(nature_objects.mushroom, 1.9, (0.97, 1.15), 0.07),
            "balloon": ObjectKind(nature_objects.balloon, 1.7, (0.72, 1.0), 0.06),
            "cactus": ObjectKind(nature_objects.cactus, 1.55, (0.84, 1.1), 0.06),
        },
        {
            "sea": nature_scenes.sea,
            "forest": nature_scenes.forest,
            "sky": nature_scenes.sky,
            "desert": nature_scenes.desert,
        },
        nature_scenes.leaves,
    ),
    "second": Look(
        {
            "mug": ObjectKind(town_objects.mug, 2.0, (1.04, 0.76), 0.05),
            "umbrella": ObjectKind(town_objects.umbrella, 1.31, (1.0, 0.95), 0.08),
            "butterfly": ObjectKind(town_objects.butterfly, 2.47, (1.05, 0.9), 0.12),
            "rocket": ObjectKind(town_objects.rocket, 1.24, (0.68, 1.02), 0.12),
        },
        {
            "kitchen": town_scenes.kitchen,
            "city": town_scenes.city,
            "meadow": town_scenes.meadow,
            "night": town_scenes.night,
        },
        town_scenes.bubbles,
    ),
    "third": Look(
        {toy.name: ObjectKind(toy.draw, toy.area, toy.half, 0.06) for toy in TOYS},
        {
            "beach": toy_outdoor_scenes.beach,
            "bricks": toy_indoor_scenes.bricks,
            "snow": toy_outdoor_scenes.snow,
            "books": toy_indoor_scenes.books,
            "pond": toy_outdoor_scenes.pond,
            "carpet": toy_indoor_scenes.carpet,
            "field": toy_outdoor_scenes.field,
            "curtain": toy_indoor_scenes.curtain,
            "pebbles": toy_outdoor_scenes.pebbles,
            "planks": toy_indoor_scenes.planks,
        },
        toy_indoor_scenes.confetti,
    ),
}
