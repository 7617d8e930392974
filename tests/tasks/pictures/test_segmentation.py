"""Estimates are good where there is an object, unsure where there is none, and reproducible."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from torch import Tensor

from tasks.pictures.segmentation import VERSION, Estimate, estimate_foreground
from tasks.synthetic.dataset import plan, scene_of
from tasks.synthetic.scene import render, render_backdrop
from tasks.synthetic.settings import BenchmarkSettings

BENCHMARK = BenchmarkSettings(train=0, validation=0, test=64)
GOLDEN_AREAS = [0.1931, 0.1931, 0.1855, 0.1099, 0.1729, 0.1501, 0.1094, 0.2632]
GOLDEN_CONFIDENCES = [0.932, 0.963, 0.965, 0.748, 0.907, 0.875, 0.88, 0.515]


def tensor(image_HW3: np.ndarray) -> Tensor:
    return torch.from_numpy(image_HW3.copy()).permute(2, 0, 1)


def disc(rows: int, columns: int, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """About a seventh of the picture."""
    y_HW, x_HW = np.indices((rows, columns)) + 0.5
    down_HW, right_HW = y_HW / rows - centre[0], x_HW / columns - centre[1]
    return np.asarray(down_HW**2 + right_HW**2 < 0.046)


def draw_picture(mask_HW: np.ndarray, grey: bool = False) -> Tensor:
    """An orange object on a bluish slope, with some noise."""
    draw = np.random.default_rng(0)
    slope_HW = np.linspace(0, 60, mask_HW.size).reshape(mask_HW.shape)
    image_HW3 = np.array([50, 90, 130]) + slope_HW[..., None]
    image_HW3[mask_HW] = [240, 150, 20]
    image_HW3 = (image_HW3 + draw.normal(0, 6, image_HW3.shape)).clip(0, 255)
    if grey:
        image_HW3[:] = image_HW3[..., :1]
    return tensor(image_HW3.astype(np.uint8))


def iou(estimate: Estimate, mask_HW: np.ndarray) -> float:
    found_HW = estimate.mask_HW.numpy() > 0
    return float((found_HW & mask_HW).sum() / (found_HW | mask_HW).sum())


@pytest.fixture(scope="module")
def rated() -> list[tuple[Estimate, float]]:
    """Estimates of generated pictures, and their IoU."""
    drawn = [render(scene_of(vars(row)), BENCHMARK) for row in plan(BENCHMARK)]
    estimates = [estimate_foreground(tensor(picture.image_HW3)) for picture in drawn]
    return [(e, iou(e, picture.mask_HW)) for e, picture in zip(estimates, drawn, strict=True)]


def test_generated_objects_are_found(rated: list[tuple[Estimate, float]]) -> None:
    ious = [found for _, found in rated]
    assert np.mean(ious) > 0.85
    assert np.mean([found >= 0.5 for found in ious]) > 0.9


def test_confidence_ranks(rated: list[tuple[Estimate, float]]) -> None:
    confidences = [estimate.confidence for estimate, _ in rated]
    ious = np.array([found for _, found in rated])
    assert spearmanr(confidences, ious).statistic > 0.35
    order = np.argsort(confidences)
    assert ious[order[:21]].mean() < ious[order[21:]].mean() - 0.05


def test_a_picture_without_its_object_is_less_certain(rated: list[tuple[Estimate, float]]) -> None:
    empty = [render_backdrop(scene_of(vars(row)), BENCHMARK) for row in plan(BENCHMARK)[:16]]
    without = [estimate_foreground(tensor(image_HW3)).confidence for image_HW3 in empty]
    assert np.median(without) < np.median([e.confidence for e, _ in rated[:16]]) - 0.2


def test_version_1_is_frozen(rated: list[tuple[Estimate, float]]) -> None:
    """Shares of the picture and confidences; other machines may round a pixel differently."""
    assert VERSION == 1
    areas = [float((estimate.mask_HW > 0).float().mean()) for estimate, _ in rated[:8]]
    np.testing.assert_allclose(areas, GOLDEN_AREAS, atol=0.004)
    confidences = [estimate.confidence for estimate, _ in rated[:8]]
    np.testing.assert_allclose(confidences, GOLDEN_CONFIDENCES, atol=0.02)


SIZES = [(16, 16), (28, 28), (64, 64), (65, 63), (96, 40), (224, 224), (150, 200), (500, 375)]


@pytest.mark.parametrize(("rows", "columns"), [*SIZES, (1200, 900)])
def test_pictures_of_every_size(rows: int, columns: int) -> None:
    mask_HW = disc(rows, columns)
    estimate = estimate_foreground(draw_picture(mask_HW))
    assert estimate.mask_HW.shape == (rows, columns)
    assert estimate.mask_HW.dtype == torch.uint8
    assert set(estimate.mask_HW.flatten().tolist()) == {0, 255}
    assert iou(estimate, mask_HW) > (0.65 if min(rows, columns) < 30 else 0.93)
    assert estimate.confidence > 0.7


def test_grey_pictures() -> None:
    mask_HW = disc(100, 100)
    estimate = estimate_foreground(draw_picture(mask_HW, grey=True))
    assert iou(estimate, mask_HW) > 0.9
    assert estimate.confidence > 0.7


@pytest.mark.parametrize("centre", [(0.5, 0.1), (0.95, 0.5), (0.1, 0.15)])
def test_an_object_that_is_cut_off_reaches_the_border(centre: tuple[float, float]) -> None:
    mask_HW = disc(128, 128, centre)
    estimate = estimate_foreground(draw_picture(mask_HW))
    assert iou(estimate, mask_HW) > 0.85
    found_HW = estimate.mask_HW.numpy() > 0
    edges = [
        (found_HW[0], mask_HW[0]),
        (found_HW[-1], mask_HW[-1]),
        (found_HW[:, 0], mask_HW[:, 0]),
    ]
    for found_N, true_N in edges:
        assert abs(int(found_N.sum()) - int(true_N.sum())) <= 8


def noise(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3)).astype(np.uint8)


def slope(rows: int, columns: int) -> np.ndarray:
    ramp_HW = np.linspace(0, 255, rows)[:, None] + np.zeros(columns)
    return np.asarray(np.repeat(ramp_HW[..., None], 3, 2), np.uint8)


NOTHING = {
    "one colour": np.full((64, 64, 3), 90, np.uint8),
    "black": np.zeros((224, 224, 3), np.uint8),
    "white": np.full((31, 33, 3), 255, np.uint8),
    "noise": noise(64, 64),
    "large noise": noise(224, 224),
    "slope": slope(224, 224),
    "one pixel": noise(1, 1),
    "seven by seven": noise(7, 7),
    "one row": noise(1, 300),
    "one column": noise(700, 1),
    "two colours, half and half": np.repeat(slope(2, 64), 32, 0),
    "checks": np.asarray(np.indices((64, 64)).sum(0)[..., None] % 2 * np.full(3, 255), np.uint8),
}


@pytest.mark.parametrize("image_HW3", NOTHING.values(), ids=NOTHING.keys())
def test_where_there_is_no_object_confidence_is_low(image_HW3: np.ndarray) -> None:
    estimate = estimate_foreground(tensor(image_HW3))
    assert estimate.mask_HW.shape == image_HW3.shape[:2]
    assert set(estimate.mask_HW.flatten().tolist()) <= {0, 255}
    assert 0 <= estimate.confidence < 0.5


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
        elements=st.sampled_from([0, 1, 7, 128, 255]),
    )
)
@settings(max_examples=60)
def test_any_picture_gives_an_estimate(image_HW3: np.ndarray) -> None:
    estimate = estimate_foreground(tensor(image_HW3))
    assert estimate.mask_HW.shape == image_HW3.shape[:2]
    assert 0 <= estimate.confidence <= 1


def generated(count: int) -> list[Tensor]:
    rows = plan(BENCHMARK)[:count]
    return [tensor(render(scene_of(vars(row)), BENCHMARK).image_HW3) for row in rows]


def same(ours: Estimate, theirs: Estimate) -> bool:
    return torch.equal(ours.mask_HW, theirs.mask_HW) and ours.confidence == theirs.confidence


def test_neither_threads_nor_earlier_runs_change_anything() -> None:
    pictures = generated(12)
    alone = [estimate_foreground(picture_CHW) for picture_CHW in pictures]
    cv2.setRNGSeed(99)
    np.random.default_rng().random(5)
    backwards = [estimate_foreground(picture_CHW) for picture_CHW in pictures[::-1]][::-1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(estimate_foreground, pictures * 2))
    for index, estimate in enumerate(alone):
        assert same(estimate, backwards[index])
        assert same(estimate, together[index])
        assert same(estimate, together[index + len(pictures)])


def test_pictures_may_have_any_memory_layout_and_stay_unchanged() -> None:
    picture_CHW = generated(1)[0]
    before_CHW = picture_CHW.clone()
    expected = estimate_foreground(picture_CHW)
    assert same(estimate_foreground(picture_CHW.contiguous()), expected)
    wide_CHW = torch.zeros(3, 64, 128, dtype=torch.uint8)
    wide_CHW[..., ::2] = picture_CHW
    assert same(estimate_foreground(wide_CHW[..., ::2]), expected)
    assert torch.equal(picture_CHW, before_CHW)


def test_the_estimate_flips_with_the_picture() -> None:
    mask_HW = disc(64, 64, (0.4, 0.6))
    picture_CHW = draw_picture(mask_HW)
    for axis in (1, 2):
        flipped = estimate_foreground(picture_CHW.flip(axis))
        assert iou(flipped, np.flip(mask_HW, axis - 1)) > 0.9
