"""Artefacts change the pixels that they should, as much as they say, and no others."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from benchmarks.patterns.artefacts import (
    DRAWN,
    FRAME_COLOURS,
    TAG_AREA,
    Kind,
    Pixels,
    Style,
    add_artefacts,
    covered,
    encode_jpeg,
)

STYLE = Style.of(1)


@pytest.fixture
def image_HW3() -> Pixels:
    return np.random.default_rng(0).integers(20, 200, (64, 64, 3), dtype=np.uint8)


def changed(image_HW3: Pixels, kind: Kind) -> np.ndarray:
    before = image_HW3.copy()
    after = add_artefacts(image_HW3, [kind], STYLE)
    np.testing.assert_array_equal(image_HW3, before)  # the picture itself stays
    assert after.dtype == np.uint8 and after.shape == before.shape
    changed_HW: np.ndarray = (after != before).any(2)
    return changed_HW


def test_a_tag_covers_two_percent_in_a_corner(image_HW3: Pixels) -> None:
    tag_HW = changed(image_HW3, "tag")
    assert tag_HW.mean() == pytest.approx(TAG_AREA, rel=0.05)
    row_n, column_n = np.nonzero(tag_HW)
    assert (row_n.mean() > 32, column_n.mean() > 32) == (STYLE.lower, STYLE.right)
    assert max(np.ptp(row_n), np.ptp(column_n)) == 8


def test_a_frame_is_on_all_four_sides_and_nowhere_else(image_HW3: Pixels) -> None:
    frame_HW = changed(image_HW3, "frame")
    assert not frame_HW[3:-3, 3:-3].any()
    assert frame_HW.sum() == 64 * 64 - 58 * 58
    assert STYLE.frame in FRAME_COLOURS


def test_a_watermark_is_half_transparent(image_HW3: Pixels) -> None:
    after = add_artefacts(image_HW3, ["watermark"], STYLE)
    mark_HW = changed(image_HW3, "watermark")
    assert 0.1 < mark_HW.mean() < 0.4
    half_HW3 = image_HW3.astype(float) / 2
    assert (after >= np.floor(half_HW3)).all() and (after <= np.ceil(half_HW3 + 127.5)).all()
    assert (after > image_HW3).any() and (after < image_HW3).any()  # letters, and their outline


def test_a_blur_keeps_the_mean_and_loses_the_detail(image_HW3: Pixels) -> None:
    after = add_artefacts(image_HW3, ["blur"], STYLE)
    assert after.mean() == pytest.approx(image_HW3.mean(), rel=0.02)
    assert after.std() < 0.6 * image_HW3.std()


def test_only_opaque_artefacts_cover(image_HW3: Pixels) -> None:
    kinds: list[Kind] = ["tag", "frame"]
    covered_HW = covered(kinds, STYLE, (64, 64))
    np.testing.assert_array_equal(
        covered_HW, changed(image_HW3, "tag") | changed(image_HW3, "frame")
    )
    assert not covered(["watermark", "blur", "jpeg", "background"], STYLE, (64, 64)).any()


def test_a_poor_jpeg_is_one_of_another_quantisation_table(image_HW3: Pixels) -> None:
    files = [Image.open(BytesIO(encode_jpeg(image_HW3, poor))) for poor in (False, True)]
    good, poor = (np.array(file.quantization[0]) for file in files)  # type: ignore[attr-defined]
    assert (poor >= good).all() and poor.sum() > 5 * good.sum()
    assert {file.format for file in files} == {"JPEG"}
    errors = [np.abs(np.asarray(file).astype(int) - image_HW3).mean() for file in files]
    assert errors[1] > errors[0]


def test_a_style_is_one_data_sets_own() -> None:
    assert Style.of(1) == Style.of(1)
    assert len({Style.of(seed) for seed in range(10)}) > 5


@pytest.mark.parametrize("kind", ["background", "jpeg"])
def test_what_is_no_artefact_of_pixels_changes_none(image_HW3: Pixels, kind: Kind) -> None:
    assert kind not in DRAWN
    assert not changed(image_HW3, kind).any()
