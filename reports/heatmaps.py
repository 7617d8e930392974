"""A map as heat over its picture with the foreground outlined, and contact sheets of many.

Shapes: N pictures, H W pixels, 3 colours.

Strength is never shown by hue alone: lightness rises along the whole colour map, so that it
survives greyscale print and most colour blindness.
"""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Map = NDArray[np.floating]
Mask = NDArray[np.bool_]

SMALLEST = 256  # longest side at which a picture is easy to see; smaller ones are enlarged
SMALL = 192  # longest side of one of many
GAP = 6  # between pictures on a sheet, px
RIGHT, WRONG = (46, 125, 50), (198, 40, 40)  # of the bar below a picture
LARGEST = 448  # enough for a sharp gallery; larger ones would only make the page heavy

# Inferno (matplotlib, CC0) at equal steps: perceptually even, from black to pale yellow.
INFERNO = np.array(
    [
        (0, 0, 4),
        (27, 12, 65),
        (74, 12, 107),
        (120, 28, 109),
        (165, 44, 96),
        (207, 68, 70),
        (237, 105, 37),
        (251, 155, 6),
        (247, 209, 61),
        (252, 255, 164),
    ],
    dtype=np.float64,
)

COVERING = 0.75  # exponent: weak heat covers little, and leaves the picture readable
LINE, HALO = (255, 255, 255), (24, 24, 26)  # of an outline
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601: how bright each colour looks


def overlay(picture_HW3: Picture, map_HW: Map, mask_HW: Mask | None) -> Picture:
    """Heat over the picture at gallery size, the mask outlined. Any non-negative scale of map."""
    _refuse_other_sizes(picture_HW3, map_HW, mask_HW)
    fitted_HW3 = fit(picture_HW3)
    height, width = fitted_HW3.shape[:2]
    heated_HW3 = _draw_heat(fitted_HW3, _resize_map(_normalise(map_HW), height, width))
    if mask_HW is None:
        return heated_HW3
    return _draw_outline(heated_HW3, _resize_mask(mask_HW, height, width))


def outline(picture_HW3: Picture, mask_HW: Mask | None) -> Picture:
    """The picture at gallery size, its colours unchanged, the mask outlined."""
    fitted_HW3 = fit(picture_HW3)
    if mask_HW is None:
        return fitted_HW3
    _refuse_other_sizes(picture_HW3, None, mask_HW)
    return _draw_outline(fitted_HW3, _resize_mask(mask_HW, *fitted_HW3.shape[:2]))


def heat_layer(map_HW: Map) -> Picture:
    """RGBA at gallery size, to lay over the picture: the colours of `overlay`, clear where there is
    no heat. Any non-negative scale of map."""
    heat_HW = _resize_map(_normalise(map_HW), *_gallery_size(map_HW.shape))
    layer_HW4 = np.dstack([_colour(heat_HW), 255 * heat_HW**COVERING])
    return layer_HW4.round().clip(0, 255).astype(np.uint8)


def outline_layer(mask_HW: Mask) -> Picture:
    """RGBA at gallery size, to lay over the picture: the mask's outline, clear elsewhere."""
    line_HW, halo_HW = _find_outline(_resize_mask(mask_HW, *_gallery_size(mask_HW.shape)))
    layer_HW4 = np.zeros((*line_HW.shape, 4), np.uint8)
    layer_HW4[halo_HW] = (*HALO, 255)
    layer_HW4[line_HW] = (*LINE, 255)
    return layer_HW4


def enlarge(map_hw: Map, height: int, width: int) -> Map:
    """A map of few cells, enlarged bilinearly to the size of a picture."""
    image = Image.fromarray(np.asarray(map_hw, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def fit(picture_HW3: Picture, largest: int = LARGEST) -> Picture:
    """The picture at gallery size: small ones by whole pixels, large ones averaged down."""
    height, width = _gallery_size(picture_HW3.shape, largest)
    if max(picture_HW3.shape[:2]) <= largest:
        times = height // len(picture_HW3)
        return picture_HW3.repeat(times, 0).repeat(times, 1)
    size = (width, height)
    return np.asarray(Image.fromarray(picture_HW3).resize(size, Image.Resampling.LANCZOS))


def thumbnail(picture_HW3: Picture) -> bytes:
    """A small JPEG, for a picture among many others."""
    return jpeg(fit(picture_HW3, SMALL))


def jpeg(image_HW3: Picture) -> bytes:
    """The image as a JPEG file; the colours of heat maps need no less than this."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image_HW3)).save(file, "JPEG", quality=80, subsampling=0)
    return file.getvalue()


def png(image_HW3: Picture) -> bytes:
    """The image as a PNG file, without metadata."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image_HW3)).save(file, "PNG")
    return file.getvalue()


def contact_sheet(
    picture_NHW3: Picture, map_NHW: Map, mask_NHW: Mask, right_N: np.ndarray
) -> bytes:
    """A PNG: pictures above, their maps below, and a bar that shows whether the answer is right."""
    columns = [
        _column(picture_HW3, map_HW, mask_HW if mask_HW.any() else None, bool(right))
        for picture_HW3, map_HW, mask_HW, right in zip(
            picture_NHW3, map_NHW, mask_NHW, right_N, strict=True
        )
    ]
    gap_HW3 = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    parts = [part for column in columns for part in (column, gap_HW3)][:-1]
    return png(np.concatenate(parts, 1))


def colour_scale(width: int = 240, height: int = 12) -> Picture:
    """The legend: from no heat to the strongest, over mid-grey, exactly as `overlay` draws it."""
    grey_HW3 = np.full((height, width, 3), 128, dtype=np.uint8)
    return _draw_heat(grey_HW3, np.tile(np.linspace(0, 1, width), (height, 1)))


def _gallery_size(shape: tuple[int, ...], largest: int = LARGEST) -> tuple[int, int]:
    """Rows and columns: of small pictures multiples, of large ones a share."""
    height, width = shape[:2]
    longest = max(height, width)
    if longest > largest:
        return max(1, height * largest // longest), max(1, width * largest // longest)
    times = math.ceil(min(SMALLEST, largest) / longest)
    return times * height, times * width


def _refuse_other_sizes(picture_HW3: Picture, map_HW: Map | None, mask_HW: Mask | None) -> None:
    size = picture_HW3.shape[:2]
    for name, other_HW in (("map", map_HW), ("mask", mask_HW)):
        if other_HW is not None and other_HW.shape != size:
            raise ValueError(
                f"{name} is {other_HW.shape}, picture is {size}: enlarge it to the picture's size"
            )


def _normalise(map_HW: Map) -> NDArray[np.float64]:
    """From 0 to 1, relative to the map's largest value; without a finite one all zeros."""
    clean_HW = np.nan_to_num(map_HW.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(0)
    largest = clean_HW.max(initial=0.0)
    return clean_HW / largest if largest > 0 else clean_HW


def _draw_heat(picture_HW3: Picture, heat_HW: NDArray[np.float64]) -> Picture:
    """Heat over a picture made mostly grey, so that its own colours are not read as heat."""
    grey_HW1 = (picture_HW3 @ LUMA)[..., None]
    quiet_HW3 = 0.25 * picture_HW3 + 0.65 * grey_HW1
    cover_HW1 = 0.82 * heat_HW[..., None] ** COVERING
    mixed_HW3: NDArray[np.float64] = (1 - cover_HW1) * quiet_HW3 + cover_HW1 * _colour(heat_HW)
    return mixed_HW3.round().clip(0, 255).astype(np.uint8)


def _colour(heat_HW: NDArray[np.float64]) -> NDArray[np.float64]:
    stops = np.linspace(0, 1, len(INFERNO))
    return np.stack([np.interp(heat_HW, stops, INFERNO[:, colour]) for colour in range(3)], -1)


def _draw_outline(image_HW3: Picture, mask_HW: Mask) -> Picture:
    """A white line inside the mask's border with a dark one outside: visible on any picture."""
    line_HW, halo_HW = _find_outline(mask_HW)
    drawn_HW3 = image_HW3.copy()
    drawn_HW3[halo_HW] = HALO
    drawn_HW3[line_HW] = LINE
    return drawn_HW3


def _find_outline(mask_HW: Mask) -> tuple[Mask, Mask]:
    """Where the line is, and the halo around it."""
    thickness = max(2, round(max(mask_HW.shape) / 160))
    line_HW = mask_HW & ~_shrink(mask_HW, thickness)
    halo_HW = ~_shrink(~mask_HW, max(1, thickness // 2)) & ~mask_HW
    return line_HW, halo_HW


def _shrink(mask_HW: Mask, pixels: int) -> Mask:
    """Erosion by a cross, `pixels` times; the picture's border is not a border of the mask."""
    for _ in range(pixels):
        padded = np.pad(mask_HW, 1, mode="edge")
        mask_HW = (
            padded[1:-1, 1:-1]
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    return mask_HW


def _resize_map(heat_HW: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    image = Image.fromarray(heat_HW.astype(np.float32))
    smooth = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(smooth, dtype=np.float64).clip(0, 1)


def _resize_mask(mask_HW: Mask, height: int, width: int) -> Mask:
    image = Image.fromarray(mask_HW.astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)) > 0


def _column(picture_HW3: Picture, map_HW: Map, mask_HW: Mask | None, right: bool) -> Picture:
    above_HW3, below_HW3 = outline(picture_HW3, mask_HW), overlay(picture_HW3, map_HW, mask_HW)
    bar_HW3 = np.empty((GAP, above_HW3.shape[1], 3), np.uint8)
    bar_HW3[:] = RIGHT if right else WRONG
    return np.concatenate([above_HW3, below_HW3, bar_HW3], 0)
