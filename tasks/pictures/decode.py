"""From the bytes of any picture to uint8 RGB, or one line that says why not.

Sizes are checked before any pixel is unpacked, and no decoder is used that runs other programs.
Shapes: C=3 colours, H rows, W columns.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from models.classifier.preprocessing import LARGEST
from models.errors import PictureError
from tasks.pictures import jpeg_header

DAMAGE = {"truncated": "truncated", "exceeds limit": "larger than allowed"}  # by PIL's words
BROKEN = "broken"
VERSION = 1  # raise it, with CHANGELOG, when the pixels of any picture change

Image.init()  # registers the formats of this Pillow
FORMATS = tuple(  # those of PIL's that run no other program, as EPS does with Ghostscript
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
    if name in Image.OPEN
)
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # chunks that a picture needs
SCANS = 10 * LARGEST  # pixels that all scans of a progressive JPEG may visit
UNREADABLE = (  # formats that cannot be read: offset of their signature, signature, name
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"ftypavif", "AVIF, which this Pillow does not read"),
    (4, b"ftyp", "HEIC or a video"),
)
MARKUP = ((b"<svg", "SVG"), (b"<html", "an HTML page"), (b"<!doctype html", "an HTML page"))
REMEDY = "export it again or drop the row"
EXPORT = "export it as JPEG or PNG, or drop the row"

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # failures say it already


@dataclass(frozen=True)
class DecodedPicture:
    """A picture as it is stored, and the EXIF turn that would show it upright."""

    image_CHW: Tensor  # uint8
    turn: int  # 1 to 8


@dataclass(frozen=True)
class OpenedPicture:
    """A picture whose header has been read and checked."""

    picture: Image.Image
    turn: int  # 1 to 8

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns as stored."""
        columns, rows = self.picture.size
        swapped = self.picture.format == "TIFF" and self.turn >= 5
        return (columns, rows) if swapped else (rows, columns)

    def as_stored(self, pixels: Tensor) -> Tensor:
        """Loaded pixels as they are stored: PIL turns a TIFF upright by itself."""
        if self.picture.format == "TIFF":
            return apply_turn(pixels, inverse_turn(self.turn))
        return pixels


def decode(content: bytes) -> DecodedPicture:
    """Decode any bytes to uint8 RGB, as stored; alpha is dropped, 16 bits keep the high byte."""
    header = _check_jpeg(content)
    if header is not None and header.bits == 8 and header.bands in (1, 3):
        try:
            return DecodedPicture(_decode_jpeg(content), header.turn)
        except RuntimeError:
            pass  # PIL's message is better, and it accepts some oddities
    return _decode_by_pil(open_picture(content))


def decode_reduced(content: bytes, least: int) -> DecodedPicture:
    """The same, but a JPEG at a half, a quarter or an eighth of its size, where no side is shorter
    than `least` pixels then: many times faster, to be looked at."""
    _check_jpeg(content)
    opened = open_picture(content)
    opened.picture.draft(None, (least, least))
    return _decode_by_pil(opened)


def _decode_by_pil(opened: OpenedPicture) -> DecodedPicture:
    rgb_HWC = torch.from_numpy(_load_rgb(opened))
    return DecodedPicture(opened.as_stored(rgb_HWC.permute(2, 0, 1)), opened.turn)


def _check_jpeg(content: bytes) -> jpeg_header.JpegHeader | None:
    """The header of a JPEG; refuses one that is too large."""
    if not content.startswith(jpeg_header.START):
        return None
    header = jpeg_header.read_header(content)
    if header is not None:
        _refuse_jpeg(header, content)
    return header


def _decode_jpeg(content: bytes) -> Tensor:
    """(C, H, W) in RGB; a RuntimeError where torchvision's decoder gives up."""
    from torchvision.io import ImageReadMode, decode_jpeg

    content_N = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    picture_CHW: Tensor = decode_jpeg(content_N, mode=ImageReadMode.RGB)
    return picture_CHW


def open_picture(content: bytes) -> OpenedPicture:
    """Read only the header, recognised by content, never by name; refuses what is too large."""
    with _picture_errors():
        picture = _open(content)
        _refuse_size(*picture.size)
        return OpenedPicture(picture, _read_turn(picture, content))


def load(opened: OpenedPicture) -> None:
    """Unpack the pixels; refuses a truncated picture instead of filling it up with grey."""
    with _picture_errors():
        opened.picture.load()


def apply_turn(pixels: Tensor, turn: int) -> Tensor:
    """Pixels (..., H, W) turned and mirrored as EXIF orientation 1 to 8 says."""
    if turn >= 5:
        pixels = pixels.transpose(-2, -1)
    axes = {2: (-1,), 3: (-2, -1), 4: (-2,), 6: (-1,), 7: (-2, -1), 8: (-2,)}.get(turn)
    return pixels if axes is None else pixels.flip(axes)


def inverse_turn(turn: int) -> int:
    """The turn that undoes this one."""
    return {6: 8, 8: 6}.get(turn, turn)


def _open(content: bytes) -> Image.Image:
    """PIL's reader for these bytes; `Image.open` would warn, and has a size limit of its own."""
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(content[:16].ljust(16, b"\0")) is True:
            file = io.BytesIO(_strip_png(content) if name == "PNG" else content)
            try:
                return factory(file, "")
            except SyntaxError as error:  # PIL's readers raise it
                raise PictureError(f"its {name} header is broken") from error
    raise PictureError(*_describe_unreadable(content))


def _strip_png(content: bytes) -> bytes:
    """A PNG without texts, profiles and animation, so that only its pixels are unpacked."""
    kept = [content[start:end] for kind, start, end in _png_chunks(content) if kind in PNG_CHUNKS]
    return b"".join([PNG_START, *kept])


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk of a PNG, and where it begins and ends."""
    start = len(PNG_START)
    while start + 8 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], start, end
        start = end


def _read_turn(picture: Image.Image, content: bytes) -> int:
    if content.startswith(jpeg_header.START):
        header = jpeg_header.read_header(content)
        return 1 if header is None else header.turn
    if picture.format == "PNG":  # PIL would unpack the pixels to look behind them
        chunks = _png_chunks(content)
        exif = (content[start + 8 : end - 4] for kind, start, end in chunks if kind == b"eXIf")
        return jpeg_header.read_turn(next(exif, b""))
    try:
        turn = picture.getexif().get(jpeg_header.ORIENTATION)
    except Exception:  # broken EXIF turns nothing
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _load_rgb(opened: OpenedPicture) -> np.ndarray:
    """RGB pixels of a picture of any mode, H W C."""
    load(opened)
    picture = opened.picture
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        high_HW = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(high_HW[..., None], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise PictureError(
            "its pixels are 32-bit, signed or floating-point numbers",
            "export it with 8 or 16 bits a pixel, or drop the row",
        )
    picture.info.pop("transparency", None)  # dropped, as all alpha is
    with _picture_errors(EXPORT):
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _refuse_size(columns: int, rows: int) -> None:
    if not columns or not rows:
        raise PictureError(f"its header says {columns}x{rows} pixels")
    if columns * rows > LARGEST:
        raise PictureError(
            f"its header says {columns}x{rows} pixels, more than {LARGEST // 10**6} million",
            "make it smaller or drop the row",
        )


def _refuse_jpeg(header: jpeg_header.JpegHeader, content: bytes) -> None:
    _refuse_size(header.columns, header.rows)
    if header.progressive:
        scans = content.count(bytes((0xFF, jpeg_header.SCAN)))
        if scans * header.columns * header.rows > SCANS:
            raise PictureError(
                f"its {scans} scans of {header.columns}x{header.rows} pixels take too long",
                "export it as a JPEG that is not progressive, or drop the row",
            )


def _describe_unreadable(content: bytes) -> tuple[str, str]:
    """What these unreadable bytes are, and what to do about it."""
    if not content:
        return "it is empty", REMEDY
    for offset, signature, name in UNREADABLE:
        if content.startswith(signature, offset):
            return f"it is {name}", EXPORT
    start = content[:1024].lower()
    for tag, name in MARKUP:
        if tag in start:
            return f"it is {name}", EXPORT
    kind = "it is text" if start.isascii() and b"\0" not in start else "its format is unknown"
    return kind, REMEDY


@contextmanager
def _picture_errors(remedy: str = REMEDY) -> Iterator[None]:
    """PIL raises all kinds of errors for broken bytes; here they become PictureError."""
    _configure_pil()
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        words = next((words for sign, words in DAMAGE.items() if sign in str(error)), BROKEN)
        raise PictureError(f"its data is {words}", remedy) from error


def _configure_pil() -> None:
    """Done for every picture, since user code in the same process may change the settings."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # it would fill half a picture with grey
    first = warnings.filters[:1]  # what PIL warns of is in the failure, or of no use
    if not first or first[0][0] != "ignore" or getattr(first[0][3], "pattern", "") != "PIL":
        warnings.filterwarnings("ignore", module="PIL")
