"""The pixels of pictures and masks are frozen: parts of old runs are reused as long as they are.

A change here changes figures without any change of the data: raise the VERSION of
tasks/pictures/decode.py or foreground.py, with tests/golden/pictures.json, and say so in CHANGELOG.
Shapes: H rows, W columns, 3 colours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.attribution.fingerprints import specifications
from tasks.attribution.settings import AttributionSettings
from tasks.execution.attribution_stage import job_of
from tasks.execution.settings import ComputeSettings
from tasks.pictures import decode, foreground
from tasks.pictures.decode import apply_turn
from tasks.pictures.foreground import Frame, Marks, draw_foreground
from tasks.runs.folder import RunFolder
from tests.support import encoded_pictures

GOLDEN = json.loads((Path(__file__).parent.parent.parent / "golden" / "pictures.json").read_text())
ROWS, COLUMNS = 16, 24
RAMP_HW = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS) * 170
INDICES_HW = (RAMP_HW // 170 % 7).astype(np.uint8)
RGB_HW3 = np.stack([RAMP_HW >> 8, RAMP_HW % 251, INDICES_HW * 40], axis=2).astype(np.uint8)
PALETTE = [value for n in range(256) for value in (n, 255 - n, n * 7 % 256)]


def with_palette() -> Image.Image:
    picture = Image.fromarray(INDICES_HW, "P")
    picture.putpalette(PALETTE)
    return picture


def turned_by_exif(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return encoded_pictures.encoded(Image.fromarray(RGB_HW3), "png", exif=exif)


def with_alpha() -> Image.Image:
    return Image.fromarray(np.dstack([RGB_HW3, INDICES_HW * 30]), "RGBA")


def cmyk() -> Image.Image:
    return Image.frombytes("CMYK", (COLUMNS, ROWS), np.dstack([RGB_HW3, INDICES_HW * 9]).tobytes())


# Written without loss, so that no encoder changes the pixels.
PICTURES: dict[str, Callable[[], bytes]] = {
    "rgb.png": lambda: encoded_pictures.encoded(Image.fromarray(RGB_HW3), "png"),
    "rgb.bmp": lambda: encoded_pictures.encoded(Image.fromarray(RGB_HW3), "bmp"),
    "rgb.ppm": lambda: encoded_pictures.encoded(Image.fromarray(RGB_HW3), "ppm"),
    "rgb.webp": lambda: encoded_pictures.encoded(Image.fromarray(RGB_HW3), "webp", lossless=True),
    "rgb.tif": lambda: encoded_pictures.encoded(
        Image.fromarray(RGB_HW3), "tif", compression="tiff_lzw"
    ),
    "rgba.png": lambda: encoded_pictures.encoded(with_alpha(), "png"),
    "palette.png": lambda: encoded_pictures.encoded(with_palette(), "png"),
    "palette.gif": lambda: encoded_pictures.encoded(with_palette(), "gif"),
    "clear palette.png": lambda: encoded_pictures.encoded(
        with_palette(), "png", transparency=bytes(9)
    ),
    "grey.png": lambda: encoded_pictures.encoded(Image.fromarray(INDICES_HW * 30), "png"),
    "one bit.png": lambda: encoded_pictures.encoded(Image.fromarray(INDICES_HW > 3), "png"),
    "grey of 16 bits.png": lambda: encoded_pictures.encoded(Image.fromarray(RAMP_HW), "png"),
    "grey of 16 bits.tif": lambda: encoded_pictures.encoded(Image.fromarray(RAMP_HW), "tif"),
    "grey of 16 bits.pgm": lambda: encoded_pictures.encoded(Image.fromarray(RAMP_HW), "pgm"),
    "colours of 16 bits.tif": lambda: encoded_pictures.wide_tiff(RGB_HW3.astype(np.uint16) * 257),
    "cmyk.tif": lambda: encoded_pictures.encoded(cmyk(), "tif"),
    **{f"turned {turn}.png": partial(turned_by_exif, turn) for turn in (2, 3, 6, 7, 8)},
}
FLAT, TURNED = Frame(ROWS, COLUMNS, 1, True), Frame(ROWS, COLUMNS, 6, True)
TRIANGLE = {"polygons": [[2.0, 1.5, 20.25, 3.0, 9.0, 14.75], [1, 9, 5, 9, 5, 14, 1, 14]]}
RUNS = {"counts": [19, 45, 60, 100, 160], "size": [ROWS, COLUMNS]}


def as_png(picture: Image.Image | np.ndarray) -> bytes:
    drawn = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return encoded_pictures.encoded(drawn, "png")


def marks(
    *masks: bytes, values: tuple[int, ...] | None = None, regions: list[Any] | None = None
) -> Marks:
    text = None if regions is None else json.dumps(regions)
    named = tuple((f"{number}.png", mask) for number, mask in enumerate(masks))
    return Marks("a.png", named, values, text)


MASKS = {
    "not zero": lambda: (marks(as_png(INDICES_HW)), FLAT),
    "values of a palette": lambda: (marks(as_png(with_palette()), values=(2, 5)), FLAT),
    "a palette, not zero": lambda: (marks(as_png(with_palette())), FLAT),
    "instances of 16 bits": lambda: (marks(as_png(RAMP_HW), values=(510, 34000)), FLAT),
    "16 bits, not zero": lambda: (marks(as_png(RAMP_HW // 256 * 256)), FLAT),
    "values of colours": lambda: (marks(as_png(RGB_HW3), values=(0x00AA28, 0x015450)), FLAT),
    "colours, not zero": lambda: (marks(as_png(RGB_HW3 * (INDICES_HW > 3)[..., None])), FLAT),
    "one bit": lambda: (marks(as_png(INDICES_HW > 3)), FLAT),
    "a cut-out": lambda: (
        marks(as_png(np.dstack([RGB_HW3 * 0, (INDICES_HW > 2).astype(np.uint8) * 255]))),
        FLAT,
    ),
    "two masks": lambda: (marks(as_png(INDICES_HW > 5), as_png(RAMP_HW > 60000)), FLAT),
    "turned along": lambda: (marks(as_png(INDICES_HW > 3)), TURNED),
    "left as stored": lambda: (marks(as_png(INDICES_HW > 3)), replace(TURNED, upright=False)),
    "polygons": lambda: (marks(regions=[TRIANGLE]), FLAT),
    "polygons, turned": lambda: (marks(regions=[{"polygons": [[1, 1, 12, 4, 3, 20]]}]), TURNED),
    "run lengths": lambda: (marks(regions=[RUNS]), FLAT),
    "run lengths as text": lambda: (
        marks(regions=[{"counts": "93l11X11W3", "size": [ROWS, COLUMNS]}]),
        FLAT,
    ),
    "a box": lambda: (marks(regions=[{"box": [2.4, 3.5, 7.2, 20]}]), FLAT),
    "a mask and regions": lambda: (marks(as_png(INDICES_HW > 5), regions=[TRIANGLE, RUNS]), FLAT),
}


def digest(pixels: torch.Tensor) -> str:
    header = f"{pixels.dtype} {tuple(pixels.shape)} ".encode()
    return hashlib.sha256(header + pixels.contiguous().numpy().tobytes()).hexdigest()[:32]


def test_the_versions_are_those_of_the_frozen_pixels() -> None:
    assert GOLDEN["decode"]["version"] == decode.VERSION
    assert GOLDEN["foreground"]["version"] == foreground.VERSION
    assert GOLDEN["decode"]["pixels"].keys() == PICTURES.keys()
    assert GOLDEN["foreground"]["pixels"].keys() == MASKS.keys()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_frozen(name: str) -> None:
    decoded = decode.decode(PICTURES[name]())
    upright_CHW = apply_turn(decoded.image_CHW, decoded.turn)
    assert digest(upright_CHW) == GOLDEN["decode"]["pixels"][name]


@pytest.mark.parametrize("name", MASKS)
def test_masks_and_regions_are_frozen(name: str) -> None:
    marked, frame = MASKS[name]()
    drawn_HW = draw_foreground(marked, frame, "foreground")
    assert 0 < drawn_HW.float().mean() < 255  # else it would freeze nothing
    assert digest(drawn_HW) == GOLDEN["foreground"]["pixels"][name]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_are_frozen_but_for_the_last_bits(mode: str) -> None:
    """Decoders may round differently: the mean colour of each quarter stays."""
    picture = cmyk() if mode == "CMYK" else Image.fromarray(RGB_HW3).convert(mode)
    decoded = decode.decode(encoded_pictures.encoded(picture, "jpg", quality=95))
    assert tuple(decoded.image_CHW.shape) == (3, ROWS, COLUMNS)
    half = torch.nn.functional.avg_pool2d(decoded.image_CHW.float(), (ROWS // 2, COLUMNS // 2))
    expected = GOLDEN["decode"]["quarters of a JPEG"][mode]
    np.testing.assert_allclose(half.flatten(), expected, atol=2)


@pytest.mark.parametrize(
    ("module", "kept"),
    [(decode, set()), (foreground, {"predictions", "maps/grad_cam"})],
)
def test_a_version_changes_the_parts_that_its_pixels_make(
    finished_run: RunFolder, monkeypatch: pytest.MonkeyPatch, module: Any, kept: set[str]
) -> None:
    job = job_of(finished_run, ComputeSettings())
    job = replace(job, attribution=AttributionSettings(methods=("grad_cam",)))
    before = specifications(job)
    monkeypatch.setattr(module, "VERSION", 2)
    after = specifications(job)
    assert {stage.folder for stage in before if before[stage] == after[stage]} == kept
