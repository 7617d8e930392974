"""Properties of pictures, measured again pixel by pixel; and what each of them is for."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from tasks.pictures.properties import blockiness, measure_pictures
from tasks.pictures.rows import Row
from tasks.pictures.samples import MaskReading, Sample, read_sample

PREPARED = Preprocessing(crop=(20, 30))


def scenery(height: int = 96, width: int = 120) -> np.ndarray:
    """Smooth ground with edges and some grain, as photographs have; (H, W, C) uint8."""
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 255, (8, 10, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    smooth[20:50, 30:70] += 60
    return (smooth + draw.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


def tensor(picture_HWC: np.ndarray) -> Tensor:
    return torch.from_numpy(picture_HWC.copy()).permute(2, 0, 1)


def measured(picture_HWC: np.ndarray) -> dict[str, float]:
    found = measure_pictures(tensor(picture_HWC)[None])
    return {name: float(value_B[0]) for name, value_B in found.items()}


def luma(picture_HWC: np.ndarray) -> np.ndarray:
    """In double precision, by the standard's own words."""
    red, green, blue = np.moveaxis(picture_HWC / 255, 2, 0)
    return np.array(0.299 * red + 0.587 * green + 0.114 * blue)


def test_brightness_and_contrast_are_mean_and_deviation_of_the_luminance() -> None:
    picture = scenery()
    assert measured(picture)["brightness"] == pytest.approx(luma(picture).mean(), abs=1e-5)
    assert measured(picture)["contrast"] == pytest.approx(luma(picture).std(), abs=1e-5)


def test_sharpness_is_the_laplacian_over_the_gradient_pixel_by_pixel() -> None:
    picture = scenery(12, 9)
    luma_HW = luma(picture)
    laplacians = [
        abs(
            luma_HW[y - 1, x]
            + luma_HW[y + 1, x]
            + luma_HW[y, x - 1]
            + luma_HW[y, x + 1]
            - 4 * luma_HW[y, x]
        )
        for y in range(1, 11)
        for x in range(1, 8)
    ]
    down = [abs(luma_HW[y + 1, x] - luma_HW[y, x]) for y in range(11) for x in range(9)]
    right = [abs(luma_HW[y, x + 1] - luma_HW[y, x]) for y in range(12) for x in range(8)]
    expected = np.mean(laplacians) / ((np.mean(down) + np.mean(right)) / 2)
    assert measured(picture)["sharpness"] == pytest.approx(expected, rel=1e-4)


def test_a_blur_shows_in_the_sharpness_and_a_weaker_contrast_does_not() -> None:
    picture = scenery()
    sharp = measured(picture)["sharpness"]
    blurs = [
        measured(np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius))))
        for radius in (1, 2)
    ]
    assert sharp > 1.5 * blurs[0]["sharpness"] > 1.5 * blurs[1]["sharpness"]
    faint = (picture // 2 + 60).astype(np.uint8)
    assert measured(faint)["sharpness"] == pytest.approx(sharp, rel=0.1)
    assert measured(faint)["contrast"] < 0.6 * measured(picture)["contrast"]


def test_the_border_is_the_mean_of_the_outermost_pixels() -> None:
    picture = scenery(100, 200)  # 3 rows and 6 columns on each side
    frame = [
        picture[y, x] / 255
        for y in range(100)
        for x in range(200)
        if y < 3 or y >= 97 or x < 6 or x >= 194
    ]
    found = measured(picture)
    names = ("border_red", "border_green", "border_blue")
    assert [found[name] for name in names] == pytest.approx(np.mean(frame, 0), abs=1e-5)
    assert found["border_spread"] == pytest.approx(math.sqrt(np.var(frame, 0).mean()), abs=1e-5)


def test_a_plain_frame_has_its_colour_and_no_spread() -> None:
    picture = scenery(100, 100)
    spread = measured(picture)["border_spread"]
    for edge in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[:, -3:]):
        picture[edge] = (255, 0, 51)
    found = measured(picture)
    colour = [found[f"border_{name}"] for name in ("red", "green", "blue")]
    assert colour == pytest.approx([1, 0, 0.2], abs=1e-5)
    assert found["border_spread"] < 1e-4
    assert spread > 0.05


def test_pictures_are_measured_each_by_itself() -> None:
    pictures_BCHW = torch.stack([tensor(scenery()), 255 - tensor(scenery())])
    together = measure_pictures(pictures_BCHW)
    for index, picture_CHW in enumerate(pictures_BCHW):
        for name, value_B in measure_pictures(picture_CHW[None]).items():
            torch.testing.assert_close(together[name][index], value_B[0])


def test_blockiness_is_the_step_across_blocks_over_that_inside() -> None:
    picture = scenery(33, 50)
    green_HW = picture[:, :, 1].astype(int)
    across: list[int] = []
    inside: list[int] = []
    for y in range(33):
        for x in range(50):
            if y:
                (inside if y % 8 else across).append(abs(green_HW[y, x] - green_HW[y - 1, x]))
            if x:
                (inside if x % 8 else across).append(abs(green_HW[y, x] - green_HW[y, x - 1]))
    expected = np.mean(across) / np.mean(inside)
    assert blockiness(tensor(picture)) == pytest.approx(expected)
    assert math.isnan(blockiness(torch.zeros(3, 40, 40, dtype=torch.uint8)))
    assert math.isnan(blockiness(torch.zeros(3, 1, 1, dtype=torch.uint8)))


@pytest.mark.parametrize("side", [96, 700])  # of which a window is measured
def test_blocks_show_where_the_quality_is_low(side: int) -> None:
    picture = Image.fromarray(scenery(side, side))
    found = []
    for quality in (95, 10):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        found.append(blockiness(tensor(np.asarray(Image.open(file)))))
    assert found[0] < 1.2
    assert found[1] > 1.5
    assert blockiness(tensor(np.asarray(picture))) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_a_file_is_measured_on_request_alone(orientation: str, tmp_path: object) -> None:
    address = f"{tmp_path}/turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright by a quarter turn
    Image.fromarray(scenery(96, 120)).save(address, quality=30, exif=exif)
    row, reading = Row("a", address, None), MaskReading("foreground", orientation)
    plain = read_sample(row, PREPARED, reading)
    sample = read_sample(row, PREPARED, reading, measures=True)
    assert isinstance(plain, Sample)
    assert isinstance(sample, Sample)
    assert plain.file is None
    assert sample.file is not None
    size = (96, 120) if orientation == "upright" else (120, 96)
    assert (sample.file.width, sample.file.height, sample.file.jpeg_quality) == (*size, 30)
    stored = tensor(np.asarray(Image.open(address)))
    assert sample.file.blockiness == pytest.approx(blockiness(stored), rel=0.05)
