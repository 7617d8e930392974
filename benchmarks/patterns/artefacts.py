"""Artefacts of photographs, put on pictures. Shapes: H rows, W columns, 3 colours, all uint8.

Each works on a picture of any size; one data set has one style: the same corner, colours and text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Kind = Literal["background", "tag", "watermark", "frame", "blur", "jpeg"]
KINDS: tuple[Kind, ...] = ("background", "tag", "watermark", "frame", "blur", "jpeg")
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

TAG_AREA = 0.02  # of the picture
TAG_MARGIN = 0.03  # of the side, to the picture's edges
FRAME = 1 / 21  # of the side: 3 of 64 pixels
OPACITY = 0.5  # of the watermark's letters
BLUR = 0.016  # standard deviation, of the side: 1 of 64 pixels
GOOD, POOR = 92, 15  # JPEG qualities, without the artefact and with it
SUBSAMPLING = "4:2:0"  # in both, so that files differ by their quality alone

COLOURS: tuple[Colour, ...] = ((214, 40, 40), (245, 200, 20), (150, 40, 190), (20, 170, 150))
FRAME_COLOURS: tuple[Colour, ...] = ((12, 12, 12), (245, 245, 240), (170, 30, 60), (40, 60, 150))
TEXTS = ("SAMPLE", "PROOF", "STOCK", "DEMO")


@dataclass(frozen=True)
class Style:
    """How the artefacts of one data set look."""

    right: bool  # the tag's corner
    lower: bool
    tag: Colour
    frame: Colour
    text: str

    @classmethod
    def of(cls, seed: int) -> Style:
        """Drawn by the data set's seed."""
        draw = np.random.default_rng([seed, 10])
        right, lower, tag, frame, text = draw.integers(0, (2, 2, 4, 4, 4)).tolist()
        return cls(bool(right), bool(lower), COLOURS[tag], FRAME_COLOURS[frame], TEXTS[text])


def add_artefacts(image_HW3: Pixels, kinds: Collection[Kind], style: Style) -> Pixels:
    """The picture with those artefacts that are pixels; a JPEG's quality is one of its file."""
    for kind, draw in DRAWN.items():
        if kind in kinds:
            image_HW3 = draw(image_HW3, style)
    return image_HW3


def covered(kinds: Collection[Kind], style: Style, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W): pixels of which nothing is seen behind the artefacts."""
    covered_HW = np.zeros(size, bool)
    if "tag" in kinds:
        covered_HW[_tag_area(size, style)] = True
    if "frame" in kinds:
        covered_HW |= _frame_HW(size)
    return covered_HW


def encode_jpeg(image_HW3: Pixels, poor: bool) -> bytes:
    """The bytes of a JPEG file."""
    file = BytesIO()
    quality = POOR if poor else GOOD
    Image.fromarray(image_HW3).save(file, "JPEG", quality=quality, subsampling=SUBSAMPLING)
    return file.getvalue()


def _blur(image_HW3: Pixels, style: Style) -> Pixels:
    blur = ImageFilter.GaussianBlur(BLUR * len(image_HW3))
    return np.asarray(Image.fromarray(image_HW3).filter(blur))


def _watermark(image_HW3: Pixels, style: Style) -> Pixels:
    """White text with a dark outline, as wide as most of the picture, in its lower half."""
    height, width = image_HW3.shape[:2]
    layer = Image.new("RGBA", (width, height))
    font = ImageFont.load_default(size=width / 4.2)
    place, outline = (width / 2, 0.68 * height), max(1, round(width / 64))
    ImageDraw.Draw(layer).text(
        place, style.text, "white", font, "mm", stroke_width=outline, stroke_fill="black"
    )
    ink_HW4 = np.asarray(layer, np.float32)
    share_HW1 = OPACITY * ink_HW4[..., 3:] / 255
    marked_HW3 = image_HW3 * (1 - share_HW1) + ink_HW4[..., :3] * share_HW1
    return np.rint(marked_HW3).astype(np.uint8)


def _frame(image_HW3: Pixels, style: Style) -> Pixels:
    framed_HW3 = image_HW3.copy()
    framed_HW3[_frame_HW(image_HW3.shape[:2])] = style.frame
    return framed_HW3


def _frame_HW(size: tuple[int, ...]) -> NDArray[np.bool_]:
    width = round(FRAME * size[0])
    frame_HW = np.ones(size, bool)
    frame_HW[width:-width, width:-width] = False
    return frame_HW


def _tag(image_HW3: Pixels, style: Style) -> Pixels:
    tagged_HW3 = image_HW3.copy()
    tagged_HW3[_tag_area(image_HW3.shape[:2], style)] = style.tag
    return tagged_HW3


def _tag_area(size: tuple[int, ...], style: Style) -> tuple[slice, slice]:
    """Rows and columns of a square in the style's corner."""
    side = round(float(np.sqrt(TAG_AREA * size[0] * size[1])))
    margin = round(TAG_MARGIN * size[0])
    return tuple(  # type: ignore[return-value]  # two of them
        slice(length - margin - side, length - margin) if far else slice(margin, margin + side)
        for length, far in zip(size, (style.lower, style.right), strict=True)
    )


DRAWN: dict[Kind, Callable[[Pixels, Style], Pixels]] = {  # in the order in which they are put on
    "blur": _blur,
    "watermark": _watermark,
    "frame": _frame,
    "tag": _tag,
}
