"""The masks and regions of a row, united into one mask. Shapes: H rows, W columns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import ForegroundError, PictureError, RegionError, printable
from tasks.pictures.decode import (
    REMEDY,
    OpenedPicture,
    apply_turn,
    inverse_turn,
    load,
    open_picture,
)
from tasks.pictures.regions import draw_region, read_regions

VERSION = 1  # raise it, with CHANGELOG, when the mask of any row changes

LOSSY = ("JPEG", "MPO", "AVIF")
LOSSLESS_WEBP = b"VP8L"  # name of a chunk
BRIGHT = 128  # threshold of a lossy mask: compression leaves noise around zero
PNG_BITS = 24  # offset in a PNG's header
TO_COLOURS = {"CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}
AS_PNG = "export it as a PNG or drop the row"
FIX_REGIONS = "fix the regions of this row"


@dataclass(frozen=True)
class Marks:
    """What marks the foreground of a row: masks, read but not yet decoded, and regions."""

    image: str  # for messages, like the masks' addresses
    masks: tuple[tuple[str, bytes], ...]  # address and bytes
    values: tuple[int, ...] | None
    regions: str | None

    @property
    def foreground_id(self) -> str:
        """Hash of the masks' bytes, the values and the regions."""
        hashes = [hashlib.blake2b(mask, digest_size=16).hexdigest() for _, mask in self.masks]
        text = json.dumps([hashes, self.values, self.regions])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Frame:
    """The geometry of a picture: stored size, EXIF turn, and whether it is shown upright."""

    rows: int
    columns: int
    turn: int
    upright: bool

    def size(self, upright: bool) -> tuple[int, int]:
        """Rows and columns, upright or as stored."""
        swapped = upright and self.turn >= 5
        return (self.columns, self.rows) if swapped else (self.rows, self.columns)

    def orient(self, marked_HW: Tensor, upright: bool) -> Tensor | None:
        """Turn a mask of the upright or the stored size as the picture is shown; where both sizes
        are the same, `upright` says which one it has. None where it has neither."""
        for is_upright in (upright, not upright):
            if tuple(marked_HW.shape) == self.size(is_upright):
                if is_upright == self.upright:
                    return marked_HW
                return apply_turn(marked_HW, self.turn if self.upright else inverse_turn(self.turn))
        return None


def draw_foreground(marks: Marks, frame: Frame, polarity: str) -> Tensor:
    """uint8, 255 = foreground, as the picture is shown: the union, inverted where it marks the
    background."""
    marked_HW = torch.zeros(frame.size(frame.upright), dtype=torch.bool)
    for address, content in marks.masks:
        marked_HW |= _read_mask(address, content, marks, frame)
    if marks.regions is not None:
        marked_HW |= _draw_regions(marks.regions, frame)
    if polarity == "background":
        marked_HW = ~marked_HW
    return marked_HW.to(torch.uint8) * 255


def decode_mask(content: bytes, values: tuple[int, ...] | None = None) -> tuple[Tensor, int]:
    """What a mask of any mode marks, bool H W, as it is stored; and its own EXIF turn."""
    opened = open_picture(content)
    lossy = opened.picture.format in LOSSY or (
        opened.picture.format == "WEBP" and LOSSLESS_WEBP not in content
    )
    if lossy and values is not None:
        raise PictureError(
            f"a {opened.picture.format} that was compressed with loss keeps no exact values", AS_PNG
        )
    bands = _read_bands(opened, content)
    if lossy:
        bands = bands >= BRIGHT
    marked_HW = _mark_nonzero(bands) if values is None else np.isin(_encode_values(bands), values)
    return opened.as_stored(torch.from_numpy(marked_HW)), opened.turn


def _read_mask(address: str, content: bytes, marks: Marks, frame: Frame) -> Tensor:
    try:
        marked_HW, turn = decode_mask(content, marks.values)
    except PictureError as error:
        message = f"mask {printable(address)} cannot be decoded ({error})"
        raise ForegroundError(message, error.remedy) from error
    if frame.upright:
        marked_HW = apply_turn(marked_HW, turn)
    oriented_HW = frame.orient(marked_HW, frame.upright)
    if oriented_HW is None:
        mask = f"mask {printable(address)} is {_format_size(*marked_HW.shape)}"
        image = f"image {printable(marks.image)} is {_format_size(*frame.size(frame.upright))}"
        raise ForegroundError(f"{mask}, {image}", REMEDY)
    return oriented_HW


def _draw_regions(text: str, frame: Frame) -> Tensor:
    """The union of all regions, whose coordinates are those of the upright picture."""
    marked_HW = torch.zeros(frame.size(frame.upright), dtype=torch.bool)
    for number, region in enumerate(_read_regions(text), 1):
        try:
            drawn_HW = draw_region(region, *frame.size(True))
            oriented_HW = frame.orient(torch.from_numpy(np.ascontiguousarray(drawn_HW)), True)
        except RegionError as error:
            raise ForegroundError(f"region {number}: {error}", FIX_REGIONS) from error
        if oriented_HW is None:
            size, expected = _format_size(*drawn_HW.shape), _format_size(*frame.size(True))
            raise ForegroundError(
                f"region {number} is {size}, the picture is {expected}", FIX_REGIONS
            )
        marked_HW |= oriented_HW
    return marked_HW


def _read_regions(text: str) -> list[dict[str, Any]]:
    try:
        return read_regions(text)
    except RegionError as error:
        raise ForegroundError(str(error), FIX_REGIONS) from error


def _format_size(rows: int, columns: int) -> str:
    return f"{columns}x{rows}"


def _read_bands(opened: OpenedPicture, content: bytes) -> np.ndarray:
    """The values of a mask, H W or H W C with alpha last, without loss."""
    picture = opened.picture
    if picture.mode == "F" or (_is_wide(picture, content) and not picture.mode.startswith("I")):
        raise PictureError("its values are neither 8-bit colours nor 16-bit grey", AS_PNG)
    load(opened)
    mode = TO_COLOURS.get(picture.mode)
    return np.asarray(picture if mode is None else picture.convert(mode))


def _is_wide(picture: Image.Image, content: bytes) -> bool:
    """Has it 16 bits a band? PIL keeps the high byte of colours: 7 would become background."""
    if picture.format == "PNG":
        return content[PNG_BITS] == 16
    return any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def _mark_nonzero(bands: np.ndarray) -> np.ndarray:
    """What is not zero in any colour; alpha counts where all pixels have one colour."""
    if bands.ndim == 2:
        return bands.astype(bool)
    has_alpha = bands.shape[2] != 3
    colours = bands[..., :-1] if has_alpha else bands
    cut_out = has_alpha and _is_flat(colours) and not _is_flat(bands[..., -1:])
    marking = bands[..., -1:] if cut_out else colours
    marked_HW: np.ndarray = marking.astype(bool).max(2)
    return marked_HW


def _is_flat(bands: np.ndarray) -> bool:
    return bool((bands == bands[0, 0]).all())


def _encode_values(bands: np.ndarray) -> np.ndarray:
    """One number a pixel: palette index, grey value or 0xRRGGBB; alpha is ignored."""
    if bands.ndim == 2:
        return bands.astype(np.int32)
    if bands.shape[2] == 2:
        return bands[..., 0].astype(np.int32)
    red, green, blue = (bands[..., c].astype(np.int32) for c in range(3))
    codes_HW: np.ndarray = red << 16 | green << 8 | blue
    return codes_HW
