"""Shapes: H W pixels, 3 colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reports.heatmaps import (
    INFERNO,
    LARGEST,
    LUMA,
    SMALLEST,
    Picture,
    colour_scale,
    enlarge,
    fit,
    heat_layer,
    outline,
    outline_layer,
    overlay,
    png,
)


def grey(height: int, width: int, value: int = 120) -> Picture:
    return np.full((height, width, 3), value, dtype=np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    return np.tile(np.linspace(0, 1, width), (height, 1))


def test_lightness_rises_along_the_colour_map() -> None:
    lightness = INFERNO @ LUMA
    assert (np.diff(lightness) > 0).all()


def test_heat_is_hot_where_the_map_is_large_and_the_picture_stays_where_it_is_zero() -> None:
    image_HW3 = overlay(grey(64, 64, 200), ramp(64, 64), None)
    assert image_HW3[128, -1, 0] > image_HW3[128, -1, 2] + 60  # yellow: red above blue
    assert np.ptp(image_HW3[128, 0]) <= 1  # grey stays grey


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_the_map_does_not_matter(scale: float) -> None:
    reference_HW3 = overlay(grey(64, 64), ramp(64, 64), None)
    scaled_HW3 = overlay(grey(64, 64), scale * ramp(64, 64), None)
    assert np.abs(scaled_HW3.astype(int) - reference_HW3).max() <= 1


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0])
def test_a_map_of_nothing_draws_no_heat(value: float) -> None:
    image_HW3 = overlay(grey(64, 64), np.full((64, 64), value), None)
    assert np.ptp(image_HW3) == 0


def test_a_float16_map_is_drawn() -> None:
    image_HW3 = overlay(grey(64, 64), (6e4 * ramp(64, 64)).astype(np.float16), None)
    assert np.ptp(image_HW3) > 100


def test_the_outline_is_white_inside_and_dark_outside_and_only_at_the_border() -> None:
    mask_HW = np.zeros((256, 256), dtype=bool)
    mask_HW[64:192, 64:192] = True
    nothing_HW = np.zeros((256, 256))
    bare_HW3 = overlay(grey(256, 256), nothing_HW, None)
    image_HW3 = overlay(grey(256, 256), nothing_HW, mask_HW)
    assert (image_HW3[64, 100] == 255).all()
    assert (image_HW3[63, 100] < 40).all()
    changed_HW = (image_HW3 != bare_HW3).any(-1)
    assert not changed_HW[70:186, 70:186].any()
    assert not changed_HW[:60].any()


@pytest.mark.parametrize("filled", [False, True])
def test_an_empty_and_a_full_mask_have_no_outline(filled: bool) -> None:
    bare_HW3 = overlay(grey(64, 64), ramp(64, 64), None)
    image_HW3 = overlay(grey(64, 64), ramp(64, 64), np.full((64, 64), filled))
    np.testing.assert_array_equal(image_HW3, bare_HW3)


def test_a_small_picture_is_enlarged_by_whole_pixels() -> None:
    picture_HW3 = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    large_HW3 = fit(picture_HW3)
    assert large_HW3.shape == (256, 192, 3)
    np.testing.assert_array_equal(large_HW3[::4, ::4], picture_HW3)
    np.testing.assert_array_equal(large_HW3[3::4, 3::4], picture_HW3)


@pytest.mark.parametrize(
    "size", [(1, 1), (7, 300), (1000, 20), (3000, 4000), (2, 9000), (224, 224)]
)
def test_picture_and_overlay_have_one_size_that_can_be_seen(size: tuple[int, int]) -> None:
    image_HW3 = overlay(grey(*size), np.ones(size), np.ones(size, dtype=bool))
    assert image_HW3.shape == fit(grey(*size)).shape
    assert image_HW3.dtype == np.uint8
    assert max(image_HW3.shape) <= max(LARGEST, 2 * SMALLEST)
    assert max(image_HW3.shape) >= min(SMALLEST, max(size))


def test_a_picture_is_outlined_in_its_own_colours() -> None:
    picture_HW3 = np.full((64, 64, 3), (200, 40, 90), dtype=np.uint8)
    mask_HW = np.zeros((64, 64), dtype=bool)
    mask_HW[16:48, 16:48] = True
    image_HW3 = outline(picture_HW3, mask_HW)
    assert (image_HW3[64, 100] == 255).all()
    assert (image_HW3[128, 128] == (200, 40, 90)).all()
    np.testing.assert_array_equal(outline(picture_HW3, None), fit(picture_HW3))


def test_a_map_of_few_cells_is_enlarged_between_their_middles() -> None:
    map_HW = enlarge(np.array([[0.0, 4.0]], dtype=np.float16), 3, 8)
    assert map_HW.shape == (3, 8)
    np.testing.assert_allclose(map_HW[1], [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])  # cells at 2 and at 6


def test_the_picture_given_is_not_written_to() -> None:
    picture_HW3 = grey(256, 256)
    picture_HW3.flags.writeable = False
    mask_HW = np.eye(256, dtype=bool)
    drawn_HW3 = overlay(picture_HW3, ramp(256, 256), mask_HW)
    assert not np.shares_memory(drawn_HW3, picture_HW3)
    assert (drawn_HW3 != picture_HW3).any()


def test_a_map_or_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"map is \(7, 7\), picture is \(64, 64\): enlarge it"):
        overlay(grey(64, 64), np.ones((7, 7)), None)
    with pytest.raises(ValueError, match=r"mask is \(64, 32\), picture is \(64, 64\)"):
        overlay(grey(64, 64), np.ones((64, 64)), np.ones((64, 32), dtype=bool))


def test_a_png_comes_back_as_it_was() -> None:
    picture_HW3 = np.random.default_rng(0).integers(0, 256, (33, 21, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(png(picture_HW3[:, ::-1])))  # a view with negative strides
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image), picture_HW3[:, ::-1])


def test_the_legend_gets_lighter_or_hotter_from_left_to_right() -> None:
    scale_HW3 = colour_scale(240, 12)
    assert scale_HW3.shape == (12, 240, 3)
    assert np.ptp(scale_HW3[0, 0]) <= 1
    assert scale_HW3[0, -1, 0] > scale_HW3[0, -1, 2] + 60


@pytest.mark.parametrize("size", [(64, 64), (224, 224), (20, 900)])
def test_layers_have_the_size_of_what_they_are_laid_over(size: tuple[int, int]) -> None:
    shown_HW3 = fit(grey(*size))
    assert heat_layer(ramp(*size)).shape == (*shown_HW3.shape[:2], 4)
    assert outline_layer(np.ones(size, bool)).shape == (*shown_HW3.shape[:2], 4)


def test_a_layer_is_clear_without_heat_and_has_the_hottest_colour_where_the_map_is_largest() -> (
    None
):
    layer_HW4 = heat_layer(ramp(256, 256))
    assert layer_HW4[0, 0, 3] == 0
    assert layer_HW4[0, -1].tolist() == [252, 255, 164, 255]
    assert (np.diff(layer_HW4[0, :, 3].astype(int)) >= 0).all()


def test_the_outline_laid_over_a_picture_is_the_outline_drawn_into_it() -> None:
    mask_HW = np.zeros((256, 256), dtype=bool)
    mask_HW[64:192, 64:192] = True
    layer_HW4 = outline_layer(mask_HW)
    clear_HW1 = layer_HW4[..., 3:] == 0
    laid_HW3 = np.where(clear_HW1, grey(256, 256), layer_HW4[..., :3])
    np.testing.assert_array_equal(laid_HW3, outline(grey(256, 256), mask_HW))
