"""Masks of every kind and regions become one mask; oracles are loops and COCO's own code."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from models.errors import ForegroundError, PictureError
from tasks.pictures.decode import apply_turn
from tasks.pictures.foreground import Frame, Marks, decode_mask, draw_foreground
from tests.support import encoded_pictures

ROWS, COLUMNS = 16, 24
FLAT = Frame(ROWS, COLUMNS, 1, True)


def ring() -> np.ndarray:
    """A frame with a hole in it."""
    marked_HW = np.zeros((ROWS, COLUMNS), bool)
    marked_HW[2:14, 3:20] = True
    marked_HW[5:9, 8:15] = False
    return marked_HW


def grey(marked_HW: np.ndarray, value: int = 255) -> Image.Image:
    values_HW = np.where(marked_HW, value, 0)
    return Image.fromarray(values_HW.astype(np.uint8 if value < 256 else np.uint16))


def marked(picture: Image.Image, suffix: str = "png", values: Any = None, **how: Any) -> np.ndarray:
    found_HW, _ = decode_mask(encoded_pictures.encoded(picture, suffix, **how), values)
    assert found_HW.dtype == torch.bool
    return found_HW.numpy()


def drawn(
    *masks: bytes, regions: Any = None, frame: Frame = FLAT, polarity: str = "foreground"
) -> np.ndarray:
    text = None if regions is None else json.dumps(regions)
    named = tuple((f"{number}.png", mask) for number, mask in enumerate(masks))
    mask_HW = draw_foreground(Marks("a.jpg", named, None, text), frame, polarity)
    found_HW: np.ndarray = mask_HW.numpy() == 255
    assert mask_HW.dtype == torch.uint8
    assert torch.equal(mask_HW.gt(0), mask_HW.eq(255))
    return found_HW


@pytest.mark.parametrize("value", [1, 2, 128, 255, 256, 512, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_every_value_marks_but_zero(value: int, suffix: str) -> None:
    """256 and 512 are 0 in their low byte."""
    np.testing.assert_array_equal(marked(grey(ring(), value), suffix), ring())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I", "CMYK"])
def test_masks_of_every_mode(mode: str) -> None:
    suffix = "tif" if mode in ("I", "CMYK") else "png"
    picture = grey(ring())
    picture = picture.convert("RGB").convert(mode) if mode == "CMYK" else picture.convert(mode)
    np.testing.assert_array_equal(marked(picture, suffix), ring())


def test_one_band_of_colour_is_enough() -> None:
    for band in range(3):
        instances = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        instances[..., band] = ring() * 7
        np.testing.assert_array_equal(marked(Image.fromarray(instances)), ring())


def test_values_of_a_palette_are_its_indices() -> None:
    """As VOC has them: 255 is the border, and no object."""
    indices = np.where(ring(), 15, 0).astype(np.uint8)
    indices[0] = 255
    picture = Image.fromarray(indices, "L")
    picture.putpalette([channel for n in range(256) for channel in (255 - n, n, 9)])
    np.testing.assert_array_equal(marked(picture, values=(15,)), ring())
    np.testing.assert_array_equal(marked(picture, values=(15, 255)), indices > 0)
    np.testing.assert_array_equal(marked(picture), indices > 0)


def test_values_of_colours_are_their_bytes() -> None:
    colours = np.zeros((ROWS, COLUMNS, 4), np.uint8)
    colours[..., 3] = 255
    colours[ring(), :3] = (220, 20, 60)
    colours[0, :, :3] = (220, 20, 61)
    for mode in ("RGB", "RGBA"):
        picture = Image.fromarray(colours).convert(mode)
        np.testing.assert_array_equal(marked(picture, values=(0xDC143C,)), ring())


def test_values_of_sixteen_bits_and_of_one() -> None:
    np.testing.assert_array_equal(marked(grey(ring(), 512), values=(512,)), ring())
    assert not marked(grey(ring(), 512), values=(0x02,)).any()
    np.testing.assert_array_equal(marked(grey(ring()).convert("1"), values=(1,)), ring())
    np.testing.assert_array_equal(marked(grey(ring()), values=(0,)), ~ring())


def test_a_cut_out_is_recognised_by_its_alpha() -> None:
    """Only where all pixels have one colour: else alpha marks nothing."""
    for colour in ((0, 0, 0), (255, 255, 255)):
        picture = Image.new("RGB", (COLUMNS, ROWS), colour)
        picture.putalpha(grey(ring()))
        np.testing.assert_array_equal(marked(picture), ring())
    picture = grey(~ring()).convert("RGB")
    picture.putalpha(grey(ring()))
    np.testing.assert_array_equal(marked(picture), ~ring())


@pytest.mark.parametrize(
    ("suffix", "how"), [("jpg", {"quality": 60}), ("webp", {"quality": 30}), ("avif", {})]
)
def test_the_noise_of_a_compressed_mask_marks_nothing(suffix: str, how: dict[str, Any]) -> None:
    large_HW = np.kron(ring(), np.ones((8, 8), bool))
    found_HW = marked(grey(large_HW), suffix, **how)
    assert (found_HW != large_HW).mean() < 0.02
    with pytest.raises(PictureError, match="keeps no exact values") as caught:
        marked(grey(large_HW), suffix, (255,), **how)
    assert caught.value.remedy == "export it as a PNG or drop the row"


def test_a_lossless_webp_keeps_its_values() -> None:
    picture = grey(ring(), 3).convert("RGB")
    np.testing.assert_array_equal(marked(picture, "webp", lossless=True), ring())
    found_HW = marked(picture, "webp", (0x030303,), lossless=True)
    np.testing.assert_array_equal(found_HW, ring())


def test_colours_of_sixteen_bits_are_refused() -> None:
    """PIL keeps their high byte: instance 7 would be background."""
    lines = b"".join(b"\0" + bytes(COLUMNS * 6) for _ in range(ROWS))
    with pytest.raises(PictureError, match="its values are neither 8-bit colours nor 16-bit grey"):
        decode_mask(encoded_pictures.png(COLUMNS, ROWS, 16, 2, lines))
    tiff = encoded_pictures.wide_tiff(np.full((ROWS, COLUMNS, 3), 7, np.uint16))
    with pytest.raises(PictureError, match="neither 8-bit colours"):
        decode_mask(tiff)
    with pytest.raises(PictureError, match="neither 8-bit colours"):
        marked(Image.new("F", (COLUMNS, ROWS), 0.7), "tif")


def test_several_masks_and_regions_are_united_then_inverted() -> None:
    first, second = np.zeros((2, ROWS, COLUMNS), bool)
    first[:4], second[:, :4] = True, True
    masks = [encoded_pictures.encoded(grey(mask), "png") for mask in (first, second)]
    box = [{"box": [20, 10, 4, 6]}]
    expected = first | second
    expected[10:, 20:] = True
    np.testing.assert_array_equal(drawn(*masks, regions=box), expected)
    np.testing.assert_array_equal(drawn(*masks, regions=box, polarity="background"), ~expected)


def test_an_empty_foreground_is_allowed() -> None:
    assert not drawn(encoded_pictures.encoded(grey(ring() & False), "png")).any()
    assert not drawn(regions=[]).any()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("upright", [True, False])
def test_a_mask_is_turned_with_its_picture(turn: int, upright: bool) -> None:
    """A mask of the stored or of the turned size, shown either way; and boxes of the turned one."""
    frame = Frame(ROWS, COLUMNS, turn, upright)
    upright_HW = apply_turn(torch.from_numpy(ring()), turn)
    expected = (upright_HW if upright else torch.from_numpy(ring())).numpy()
    shown = encoded_pictures.encoded(grey(expected), "png")
    np.testing.assert_array_equal(drawn(shown, frame=frame), expected)
    if turn >= 5:
        other = encoded_pictures.encoded(grey(ring() if upright else upright_HW.numpy()), "png")
        np.testing.assert_array_equal(drawn(other, frame=frame), expected)
    region = [{"box": [1, 2, 3, 9]}]
    box_HW = torch.zeros_like(upright_HW)
    box_HW[2:11, 1:4] = True
    found_HW = torch.from_numpy(drawn(regions=region, frame=frame))
    assert torch.equal(found_HW if upright else apply_turn(found_HW, turn), box_HW)


def test_a_mask_is_turned_by_its_own_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = encoded_pictures.encoded(grey(ring()), "png", exif=exif)
    frame = Frame(ROWS, COLUMNS, 6, True)
    expected = apply_turn(torch.from_numpy(ring()), 6).numpy()
    np.testing.assert_array_equal(drawn(mask, frame=frame), expected)
    stored = Frame(ROWS, COLUMNS, 6, False)
    np.testing.assert_array_equal(drawn(mask, frame=stored), ring())


def test_a_mask_of_another_size_is_named() -> None:
    message = "^mask 0.png is 9x5, image a.jpg is 24x16$"
    with pytest.raises(ForegroundError, match=message) as caught:
        drawn(encoded_pictures.encoded(Image.new("L", (9, 5)), "png"))
    assert caught.value.remedy == "export it again or drop the row"


def test_a_mask_that_is_no_picture_says_what_to_do_once() -> None:
    with pytest.raises(ForegroundError, match=r"^mask 0.png cannot be decoded \(it is empty\)$"):
        drawn(b"")
    with pytest.raises(ForegroundError, match=r"cannot be decoded \(it is a PDF\)$") as caught:
        drawn(b"%PDF")
    assert caught.value.remedy == "export it as JPEG or PNG, or drop the row"


def test_run_lengths_keep_holes() -> None:
    runs = coco.encode(np.asfortranarray(ring().astype(np.uint8)))
    region = {"counts": runs["counts"].decode(), "size": [ROWS, COLUMNS]}
    np.testing.assert_array_equal(drawn(regions=[region]), ring())


@pytest.mark.parametrize("turn", [6, 8])
def test_run_lengths_have_a_size_of_their_own(turn: int) -> None:
    runs = coco.encode(np.asfortranarray(ring().astype(np.uint8)))
    region = {"counts": runs["counts"].decode(), "size": [ROWS, COLUMNS]}
    expected = apply_turn(torch.from_numpy(ring()), turn).numpy()
    found_HW = drawn(regions=[region], frame=Frame(ROWS, COLUMNS, turn, True))
    np.testing.assert_array_equal(found_HW, expected)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"box": [1, 1, 0, 5]}, r"its box \[1, 1, 0, 5\] has no area"),
        ({"box": [1, 1, 5, -5]}, "has no area"),
        ({"box": [30, 1, 5, 5]}, r"lies at x 30 to 35, y 1 to 6, outside the picture's 24x16"),
        ({"box": [1, 1, 5]}, "it has no list of 4 numbers"),
        ({"box": [1, 1, 5, "5"]}, "its coordinates are not numbers of pixels"),
        ({"polygons": [[1, 1, 5, 5]]}, "a polygon has 4 numbers: at least three points of x and y"),
        ({"polygons": [[1, 1, 5, 1, 5, 5, 2]]}, "a polygon has 7 numbers"),
        ({"polygons": [[90, 1, 95, 1, 95, 5]]}, "outside the picture's 24x16 pixels"),
        ({"polygons": [[0, 0, 1e8, 0, 1e8, 9]]}, r"outline is 2e\+08 pixels long, more than 4000"),
        ({"counts": [384], "size": [24, 16]}, " is 16x24, the picture is 24x16"),
        ({"counts": [9, 9], "size": [3, 6]}, "cover 18 pixels and its size says 6x3: the picture"),
        ({"counts": [9, 9], "size": [16, 24]}, "cover 18 pixels and its size says 24x16"),
        ({"counts": "\x00", "size": [16, 24]}, "its counts are not COCO's text"),
        ({"ellipse": [1, 2, 3, 4]}, r"its keys are \['ellipse'\]: it must be a box"),
    ],
)
def test_a_region_that_cannot_be_drawn_says_why(region: dict[str, Any], message: str) -> None:
    with pytest.raises(ForegroundError, match=f"^region 1.*{message}"):
        drawn(regions=[region])


def test_the_foreground_id_is_of_masks_values_and_regions() -> None:
    base = Marks("a.jpg", (("m", b"1"), ("n", b"2")), (1,), "[]")
    same = Marks("b.jpg", (("x", b"1"), ("y", b"2")), (1,), "[]")
    others = [
        Marks("a.jpg", (("m", b"2"), ("n", b"1")), (1,), "[]"),
        Marks("a.jpg", (("m", b"12"),), (1,), "[]"),
        Marks("a.jpg", (("m", b"1"), ("n", b"2")), None, "[]"),
        Marks("a.jpg", (("m", b"1"), ("n", b"2")), (1,), None),
    ]
    assert base.foreground_id == same.foreground_id
    assert len({marks.foreground_id for marks in (base, *others)}) == 5
