"""Every kind of picture reaches uint8 RGB as PIL reads it, or is refused before it is unpacked."""

from __future__ import annotations

import io
import resource
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps
from torchvision.io import ImageReadMode, decode_image

from models.classifier.preprocessing import LARGEST, Preprocessing
from models.errors import PictureError, UserError
from tasks.pictures.decode import FORMATS, apply_turn, decode, inverse_turn, open_picture
from tests.support import encoded_pictures, fuzz_pictures


def pixels(content: bytes) -> np.ndarray:
    """As stored, H W C."""
    image_CHW = decode(content).image_CHW
    assert image_CHW.dtype == torch.uint8
    assert image_CHW.shape[0] == 3
    return image_CHW.permute(1, 2, 0).numpy()


def of_pil(content: bytes, turn: bool = False) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        upright = ImageOps.exif_transpose(picture) if turn else picture
        return np.array(upright.convert("RGB"))


@pytest.mark.parametrize("name", sorted(encoded_pictures.FORMATS))
def test_a_picture_is_what_pil_reads(name: str) -> None:
    content = encoded_pictures.whole()[name]
    np.testing.assert_array_equal(pixels(content), of_pil(content))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_what_torchvision_reads(mode: str) -> None:
    content = encoded_pictures.encoded(
        encoded_pictures.noise(60, 50).convert(mode), "jpg", quality=80
    )
    content_N = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    assert torch.equal(decode(content).image_CHW, decode_image(content_N, mode=ImageReadMode.RGB))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_as_pil_does(suffix: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = turn
    content = encoded_pictures.encoded(encoded_pictures.noise(5, 8), suffix, exif=exif)
    decoded = decode(content)
    assert decoded.turn == turn
    assert open_picture(content).size == (5, 8) == tuple(decoded.image_CHW.shape[1:])
    upright_CHW = apply_turn(decoded.image_CHW, decoded.turn)
    np.testing.assert_array_equal(upright_CHW.permute(1, 2, 0), of_pil(content, turn=True))
    plain = encoded_pictures.encoded(encoded_pictures.noise(5, 8), suffix)
    np.testing.assert_array_equal(pixels(content), pixels(plain))


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turn_can_be_undone(turn: int) -> None:
    image_CHW = torch.arange(3 * 4 * 5).reshape(3, 4, 5)
    assert torch.equal(apply_turn(apply_turn(image_CHW, turn), inverse_turn(turn)), image_CHW)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_dropped(mode: str, suffix: str) -> None:
    opaque = encoded_pictures.noise().convert("L" if mode == "LA" else "RGB")
    clear = opaque.copy()
    clear.putalpha(Image.new("L", clear.size, 0))
    expected = np.array(opaque.convert("RGB"))
    np.testing.assert_array_equal(pixels(encoded_pictures.encoded(clear, suffix)), expected)


def test_a_transparent_palette_keeps_its_colours() -> None:
    content = encoded_pictures.encoded(
        encoded_pictures.noise().quantize(256), "png", transparency=bytes(256)
    )
    expected = np.array(encoded_pictures.noise().quantize(256).convert("RGB"))
    np.testing.assert_array_equal(pixels(content), expected)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey_keep_the_high_byte(suffix: str) -> None:
    """PIL's own conversion clips all above 255 to white."""
    ramp_HW = np.linspace(0, 65535, 80, dtype=np.uint16).reshape(8, 10)
    found = pixels(encoded_pictures.encoded(Image.fromarray(ramp_HW), suffix))
    np.testing.assert_array_equal(found, np.stack([ramp_HW >> 8] * 3, axis=2))


def test_the_other_byte_order_has_the_same_high_byte() -> None:
    ramp_HW = np.linspace(0, 65535, 80).astype(">u2").reshape(8, 10)
    picture = Image.frombytes("I;16B", (10, 8), ramp_HW.tobytes())
    found = pixels(encoded_pictures.encoded(picture, "tif"))
    np.testing.assert_array_equal(found[..., 0], ramp_HW >> 8)


def test_sixteen_bits_of_colour_keep_the_high_byte() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (4, 6, 3)).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in wide)
    np.testing.assert_array_equal(pixels(encoded_pictures.png(6, 4, 16, 2, lines)), wide >> 8)
    np.testing.assert_array_equal(pixels(encoded_pictures.wide_tiff(wide)), wide >> 8)


def test_inverted_cmyk_is_read_as_photoshop_writes_it() -> None:
    content = encoded_pictures.encoded(encoded_pictures.noise().convert("CMYK"), "jpg", quality=100)
    assert b"Adobe" in content
    assert np.abs(pixels(content).astype(int) - np.array(encoded_pictures.noise())).mean() < 20
    np.testing.assert_array_equal(pixels(content), of_pil(content))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif", "avif"])
def test_the_first_picture_of_several_is_taken(suffix: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("white", "black", "red")]
    content = encoded_pictures.encoded(frames[0], suffix, save_all=True, append_images=frames[1:])
    found = pixels(content)
    assert found.shape == (6, 8, 3)
    assert found.min() > 250


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_of_32_bits_are_refused_with_what_to_do(mode: str) -> None:
    with pytest.raises(PictureError, match="32-bit") as caught:
        decode(encoded_pictures.encoded(Image.new(mode, (5, 5), 1), "tif"))
    assert caught.value.remedy == "export it with 8 or 16 bits a pixel, or drop the row"


@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png", "a.bmp", "a.ppm", "a.tif"])
def test_no_truncated_picture_is_half_grey(name: str) -> None:
    """Missing bytes may carry no pixel, as at the end of a PNG; then all pixels are there."""
    content = encoded_pictures.whole()[name]
    expected = pixels(content)
    for kept in range(0, len(content), 7):
        try:
            found = pixels(content[:kept])
        except PictureError:
            continue
        np.testing.assert_array_equal(found, expected)


def test_settings_of_user_code_change_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many training scripts make PIL accept truncated pictures."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("a.jpg", "a.png", "a.bmp"):
        content = encoded_pictures.whole()[name]
        with pytest.raises(PictureError):
            decode(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<html>Not found", "it is an HTML page"),
        (b"\n<?xml?>\n<svg>", "it is SVG"),
        (b"\0\0\0\x18ftypheic", "it is HEIC or a video"),
        (b"\0\0\0\x0cJXL \r\n", "it is JPEG XL"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "it is PostScript"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"plain words", "it is text"),
        (b"\0\1\2\3", "its format is unknown"),
        (b"\x89PNG\r\n\x1a\n", "its PNG header is broken"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        decode(content)


def test_only_formats_that_run_nothing_are_opened() -> None:
    assert set(FORMATS) <= {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"}


def test_a_bomb_takes_no_memory() -> None:
    """50,000 x 50,000 pixels would be 2.5 GB in one band."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bombs = {name: content for name, content in fuzz_pictures.broken() if "bomb" in name}
    assert len(bombs) >= 10
    for content in bombs.values():
        with pytest.raises(PictureError, match=r"million|larger than allowed"):
            decode(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "ppm"])
def test_opening_unpacks_nothing(suffix: str) -> None:
    """A picture without its pixels can be opened, and is refused when they are loaded."""
    content = encoded_pictures.encoded(encoded_pictures.noise(200, 300), suffix)
    half = content[: len(content) // 2]
    assert open_picture(half).size == (200, 300)
    with pytest.raises(PictureError, match="truncated"):
        decode(half)


def test_texts_and_profiles_are_not_unpacked() -> None:
    bomb = zlib.compress(bytes(1 << 28), 9)
    for kind in (b"zTXt", b"iCCP"):
        content = encoded_pictures.with_chunk(kind, b"a\0\0" + bomb)
        np.testing.assert_array_equal(pixels(content), np.array(encoded_pictures.noise()))


def test_a_hundred_megapixels_are_read() -> None:
    content = encoded_pictures.encoded(Image.new("L", (10_000, 10_000), 77), "jpg", quality=50)
    assert decode(content).image_CHW.shape == (3, 10_000, 10_000)


def test_the_limit_is_the_same_where_pil_has_another() -> None:
    """PIL warns from 89 million pixels and refuses 179 million."""
    rows = LARGEST // 20_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_picture(encoded_pictures.png(20_000, rows, 1, 0)).size == (rows, 20_000)
    with pytest.raises(PictureError, match="20000x10001 pixels, more than 200 million"):
        open_picture(encoded_pictures.png(20_000, rows + 1, 1, 0))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    content = bytearray(encoded_pictures.whole()["progressive.jpg"])
    at = content.index(b"\xff\xc2")
    content[at + 5 : at + 9] = struct.pack(">HH", 10_000, 10_000)
    scan = content.rindex(b"\xff\xda")
    with pytest.raises(PictureError, match="scans of 10000x10000 pixels take too long"):
        decode(bytes(content[:-2] + content[scan:-2] * 100 + content[-2:]))


def test_pil_neither_warns_nor_logs(
    recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for name, content in [*fuzz_pictures.sound(), *fuzz_pictures.strange()]:
            if name.endswith((".png", ".webp", ".gif", ".bmp", ".ppm")):
                try:
                    decode(content)
                except PictureError as refused:
                    assert str(refused)
    assert [str(warning.message) for warning in recwarn if "PIL" in warning.filename] == []
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_a_line_of_pixels_is_not_resized_without_end(size: tuple[int, int]) -> None:
    line_CHW = torch.zeros(3, *size, dtype=torch.uint8)
    with pytest.raises(UserError, match="would be 25600000 on the longer: at most 200 mill"):
        Preprocessing(resize=256, crop=(224, 224)).resize_and_crop(line_CHW)
    assert Preprocessing(resize=(8, 8)).resize_and_crop(line_CHW).shape == (3, 8, 8)
    assert Preprocessing(resize=20, crop=(8, 8)).resize_and_crop(line_CHW).shape == (3, 8, 8)
