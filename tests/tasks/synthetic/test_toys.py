"""The third look: a hundred classes that differ, on ten backgrounds that do not tell them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tasks.synthetic.dataset import plan
from tasks.synthetic.primitives import Draw, Plane, Sketch, picture_plane
from tasks.synthetic.scene import Scene, render
from tasks.synthetic.settings import BenchmarkSettings
from tasks.synthetic.toy_parts import PARTS
from tasks.synthetic.toy_shapes import SHAPES
from tasks.synthetic.toy_textures import TEXTURES
from tasks.synthetic.toys import TOYS
from tests.tasks.synthetic.test_dataset import scenes

THIRD = BenchmarkSettings(look="third", strength=0.1)
WIDE = picture_plane(128).transform((0.5, 0.5), 0, 1 / 3)  # from -1.5 to 1.5
CELL = WIDE.pixel * WIDE.pixel


def test_every_combination_is_a_class() -> None:
    assert len(TOYS) == len(SHAPES) * len(TEXTURES) * len(PARTS) == 100
    assert len(THIRD.backgrounds) == 10
    assert THIRD.classes[:2] == ("plain ball with ears", "plain ball with legs")
    assert len(set(THIRD.classes)) == 100


def test_ten_classes_share_a_background_and_differ_in_all_that_makes_a_class() -> None:
    sharing = defaultdict(list)
    for toy in TOYS:
        sharing[THIRD.drawing.own_background(toy.name)].append(toy)
    assert set(sharing) == set(THIRD.backgrounds)
    for toys in sharing.values():
        assert len(toys) == 10
        assert {toy.shape for toy in toys} == set(SHAPES)
        assert len({toy.texture for toy in toys}) == len(TEXTURES)
        assert {toy.part for toy in toys} == set(PARTS)


def test_without_a_shortcut_the_background_does_not_tell_the_class() -> None:
    rows = plan(THIRD.model_copy(update={"train": 20_000, "validation": 0, "test": 0}))
    counts = Counter((row.label, row.background) for row in rows)
    deviations = [
        (counts[label, background] - 20) ** 2 / 20
        for label in THIRD.classes
        for background in THIRD.backgrounds
    ]
    chi_square = sum(deviations)  # 900 degrees of freedom, standard deviation 42
    assert 750 < chi_square < 1050


def drawn(label: str, seed: int, background: str = "bricks") -> np.ndarray:
    """(H, W, 4): an object and its mask, whatever is behind."""
    picture = render(Scene(label, background, seed, 1), THIRD)
    return np.dstack([picture.image_HW3 * picture.mask_HW[..., None], picture.mask_HW])


def test_every_pair_of_classes_looks_different() -> None:
    for seed in (0, 1):
        pictures = {label: drawn(label, seed) for label in THIRD.classes}
        for first, second in combinations(THIRD.classes, 2):
            either_HW = (pictures[first][..., 3] | pictures[second][..., 3]) > 0
            differs_HW = (pictures[first] != pictures[second]).any(2)
            assert differs_HW[either_HW].mean() > 0.05, (first, second)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_the_area_and_the_extent_that_it_says(name: str) -> None:
    shape = SHAPES[name]
    masks = [shape.outline(Draw(seed), WIDE) < 0 for seed in range(20)]
    assert np.mean([mask_HW.sum() * CELL for mask_HW in masks]) == pytest.approx(
        shape.area, rel=0.03
    )
    assert_half(masks, shape.half)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_begins_in_every_body_and_reaches_as_far_as_it_says(name: str) -> None:
    masks = [part_mask(name, seed, WIDE) for seed in range(20)]
    assert_half(masks, PARTS[name].half)
    bodies = [shape.outline(Draw(1), WIDE) < 0 for shape in SHAPES.values()]
    outside = [(mask_HW & ~body_HW).sum() * CELL for mask_HW in masks for body_HW in bodies]
    assert np.mean(outside) == pytest.approx(PARTS[name].area, rel=0.05)
    assert min(outside) > 0.15  # ears between the lobes of a heart
    for mask_HW in masks:
        assert all((mask_HW & body_HW).any() for body_HW in bodies)


def part_mask(name: str, seed: int, plane: Plane) -> np.ndarray:
    sketch = Sketch(plane)
    PARTS[name].draw(Draw(seed), sketch)
    return sketch.mask_HW


def assert_half(masks: list[np.ndarray], half: tuple[float, float]) -> None:
    """No mask reaches farther, and one nearly so far."""
    for axis_HW, longest in zip((WIDE.x_HW, WIDE.y_HW), half, strict=True):
        reached = max(float(np.abs(axis_HW[mask_HW]).max()) for mask_HW in masks)
        assert longest - 0.06 < reached + WIDE.pixel / 2 <= longest + WIDE.pixel / 2


def test_the_second_colour_of_a_texture_is_seen() -> None:
    for name, texture in TEXTURES.items():
        shares = [texture(Draw(seed), WIDE) for seed in range(20)]
        mean = float(np.mean([share_HW.mean() for share_HW in shares]))
        assert mean == 0 if name == "plain" else 0.2 < mean < 0.6, name
        assert all(0 <= share_HW.min() <= share_HW.max() <= 1 for share_HW in shares)


def test_colours_do_not_tell_the_class() -> None:
    """The mean colour of an object varies far more within a class than between classes."""
    means = np.array(
        [
            [render(replace(scene, object_seed=seed), THIRD) for seed in range(8)]
            for scene in scenes(THIRD, 20)
        ],
        object,
    )
    colour_KN3 = np.array([[it.image_HW3[it.mask_HW].mean(0) for it in row] for row in means])
    between = colour_KN3.mean(1).var(0)
    within = colour_KN3.var(1).mean(0)
    assert (between < 0.35 * within).all()
