"""Masks and regions of a row, read and united to one mask. Shapes: H rows, W columns."""

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

VERSION = 1  # of what masks and regions mark: raised, with CHANGELOG, when any row's changes

LOSSY = ("JPEG", "MPO", "AVIF")
LOSSLESS_WEBP = b"VP8L"  # a chunk of the container
BRIGHT = 128  # of a lossy mask: compression leaves noise around zero
PNG_BITS = 24  # where a PNG's header has them
TO_COLOURS = {"CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}
AS_PNG = "export it as a PNG or drop the row"
MEND = "mend the regions of this row"


@dataclass(frozen=True)
class Marks:
    """All that a row says of its foreground, read and not yet decoded."""

    image: str  # for messages, like the masks' addresses
    masks: tuple[tuple[str, bytes], ...]  # address and bytes
    values: tuple[int, ...] | None
    regions: str | None

    @property
    def foreground_id(self) -> str:
        """Hash of the masks' bytes, the values and the regions."""
        of_masks = [hashlib.blake2b(mask, digest_size=16).hexdigest() for _, mask in self.masks]
        said = json.dumps([of_masks, self.values, self.regions])
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Frame:
    """How a picture lies: its stored size, EXIF's turn, and whether it is shown turned."""

    rows: int
    columns: int
    turn: int
    upright: bool

    def size(self, upright: bool) -> tuple[int, int]:
        """Rows and columns, turned or as stored."""
        swapped = upright and self.turn >= 5
        return (self.columns, self.rows) if swapped else (self.rows, self.columns)

    def shown(self, marked_HW: Tensor, upright: bool) -> Tensor | None:
        """A mask of the turned or the stored size, as the picture is shown; where both sizes are
        the same, `upright` says which it is. None: it has neither."""
        for drawn in (upright, not upright):
            if tuple(marked_HW.shape) == self.size(drawn):
                if drawn == self.upright:
                    return marked_HW
                return apply_turn(marked_HW, self.turn if self.upright else inverse_turn(self.turn))
        return None


def draw_foreground(marks: Marks, frame: Frame, polarity: str) -> Tensor:
    """uint8, 255 = foreground, as the picture is shown: the union, inverted for backgrounds."""
    marked_HW = torch.zeros(frame.size(frame.upright), dtype=torch.bool)
    for address, content in marks.masks:
        marked_HW |= _read_mask(address, content, marks, frame)
    if marks.regions is not None:
        marked_HW |= _draw_regions(marks.regions, frame)
    if polarity == "background":
        marked_HW = ~marked_HW
    return marked_HW.to(torch.uint8) * 255


def decode_mask(content: bytes, values: tuple[int, ...] | None = None) -> tuple[Tensor, int]:
    """bool H W, what a mask of any mode marks, as it is stored; and its own EXIF turn."""
    opened = open_picture(content)
    lossy = opened.picture.format in LOSSY or (
        opened.picture.format == "WEBP" and LOSSLESS_WEBP not in content
    )
    if lossy and values is not None:
        told = f"a {opened.picture.format} that was compressed with loss keeps no exact values"
        raise PictureError(told, AS_PNG)
    bands = _read_bands(opened, content)
    if lossy:
        bands = bands >= BRIGHT
    marked_HW = _mark_nonzero(bands) if values is None else np.isin(_encode_values(bands), values)
    return opened.stored(torch.from_numpy(marked_HW)), opened.turn


def _read_mask(address: str, content: bytes, marks: Marks, frame: Frame) -> Tensor:
    try:
        marked_HW, turn = decode_mask(content, marks.values)
    except PictureError as error:
        told = f"mask {printable(address)} cannot be decoded ({error})"
        raise ForegroundError(told, error.remedy) from error
    if frame.upright:
        marked_HW = apply_turn(marked_HW, turn)
    shown_HW = frame.shown(marked_HW, frame.upright)
    if shown_HW is None:
        size = _format_size(*frame.size(frame.upright))
        told = f"mask {printable(address)} is {_format_size(*marked_HW.shape)}, image "
        raise ForegroundError(f"{told}{printable(marks.image)} is {size}", REMEDY)
    return shown_HW


def _draw_regions(text: str, frame: Frame) -> Tensor:
    """The union of all regions; coordinates are those of the upright picture."""
    marked_HW = torch.zeros(frame.size(frame.upright), dtype=torch.bool)
    for number, region in enumerate(_read_regions(text), 1):
        try:
            drawn = draw_region(region, *frame.size(True))
            shown_HW = frame.shown(torch.from_numpy(np.ascontiguousarray(drawn)), True)
        except RegionError as error:
            raise ForegroundError(f"region {number}: {error}", MEND) from error
        if shown_HW is None:
            told = f"region {number} is of {_format_size(*drawn.shape)} pixels, "
            raise ForegroundError(f"{told}the picture is {_format_size(*frame.size(True))}", MEND)
        marked_HW |= shown_HW
    return marked_HW


def _read_regions(text: str) -> list[dict[str, Any]]:
    try:
        return read_regions(text)
    except RegionError as error:
        raise ForegroundError(str(error), MEND) from error


def _format_size(rows: int, columns: int) -> str:
    return f"{columns}x{rows}"


def _read_bands(opened: OpenedPicture, content: bytes) -> np.ndarray:
    """Values of a mask, H W or H W C with alpha last, in numbers that lose nothing."""
    picture = opened.picture
    if picture.mode == "F" or (_is_wide(picture, content) and not picture.mode.startswith("I")):
        told = "its values are no integers of 8 bits a colour or 16 bits of grey"
        raise PictureError(told, AS_PNG)
    load(opened)
    mode = TO_COLOURS.get(picture.mode)
    return np.asarray(picture if mode is None else picture.convert(mode))


def _is_wide(picture: Image.Image, content: bytes) -> bool:
    """16 bits a band: of colours, PIL keeps the high byte, and instance 7 would be background."""
    if picture.format == "PNG":
        return content[PNG_BITS] == 16
    return any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def _mark_nonzero(bands: np.ndarray) -> np.ndarray:
    """What is not zero in any colour; alpha counts where the colours are one and the same."""
    if bands.ndim == 2:
        return bands.astype(bool)
    has_alpha = bands.shape[2] != 3
    colours = bands[..., :-1] if has_alpha else bands
    cut_out = has_alpha and _is_flat(colours) and not _is_flat(bands[..., -1:])
    told = bands[..., -1:] if cut_out else colours
    marked_HW: np.ndarray = told.astype(bool).max(2)
    return marked_HW


def _is_flat(bands: np.ndarray) -> bool:
    return bool((bands == bands[0, 0]).all())


def _encode_values(bands: np.ndarray) -> np.ndarray:
    """One number a pixel: the palette's index, the grey value or 0xRRGGBB; alpha is ignored."""
    if bands.ndim == 2:
        return bands.astype(np.int32)
    if bands.shape[2] == 2:
        return bands[..., 0].astype(np.int32)
    red, green, blue = (bands[..., c].astype(np.int32) for c in range(3))
    codes_HW: np.ndarray = red << 16 | green << 8 | blue
    return codes_HW
