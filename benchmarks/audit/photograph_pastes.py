"""Ways to fill an object in and to paste it back, on uint8 photographs.

Shapes: H W pixels, 3 colours; a mask is True on the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.holes import fill_holes
from models.moves import Move

Picture = NDArray[np.uint8]  # H W 3
Mask = NDArray[np.bool_]  # H W
Floats = NDArray[np.float32]

GROWN = 0.02  # of the shorter side: how far a hole reaches beyond the mask
FEATHER = 0.007  # of the shorter side: standard deviation of a soft edge


@dataclass(frozen=True)
class Paste:
    """How the hole of an object is filled, and how the edge of a pasted object looks."""

    fill: str
    edge: str  # hard or feathered

    @property
    def name(self) -> str:
        return f"{self.fill}-{self.edge}"

    def background(self, picture_HW3: Picture, mask_HW: Mask) -> Picture:
        return FILLS[self.fill](picture_HW3, mask_HW)

    def put(self, picture_HW3: Picture, mask_HW: Mask, background_HW3: Picture) -> Picture:
        """The object of a picture on a background."""
        share_HW1 = mask_HW[..., None].astype(np.float32)
        if self.edge == "feathered":
            share_HW1 = _blurred(share_HW1, FEATHER * min(mask_HW.shape))
        return _uint8(share_HW1 * picture_HW3 + (1 - share_HW1) * background_HW3)


def fill_with_mean(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """The mean colour of the background, inside the mask."""
    return _inside(picture_HW3, mask_HW, _mean_outside(picture_HW3, mask_HW))


def fill_with_mean_grown(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """The same beyond the mask, too."""
    return fill_with_mean(picture_HW3, grow(mask_HW))


def fill_with_blur(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """A strong blur of the background."""
    known_HW3 = fill_with_mean(picture_HW3, mask_HW)
    size = max(3, min(mask_HW.shape) // 4 | 1)
    return _inside(picture_HW3, mask_HW, cv2.GaussianBlur(known_HW3, (size, size), 0))


def fill_by_navier_stokes(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """Inpainting of OpenCV, beyond the mask, too."""
    hole_HW = grow(mask_HW).astype(np.uint8)
    return np.asarray(cv2.inpaint(picture_HW3, hole_HW, 3, cv2.INPAINT_NS), np.uint8)


def fill_by_pyramid(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """Each hole pixel from the finest scale at which something of the background is near it."""
    hole_HW = grow(mask_HW)
    known_HW1 = (~hole_HW)[..., None].astype(np.float32)
    filled_HW3 = _pull_push(picture_HW3.astype(np.float32) * known_HW1, known_HW1[..., 0])
    return _inside(picture_HW3, hole_HW, filled_HW3)


def fill_by_inpaint(picture_HW3: Picture, mask_HW: Mask) -> Picture:
    """As `--fill inpaint` of an audit does."""
    image_1CHW = torch.from_numpy(picture_HW3.astype(np.float32)).permute(2, 0, 1)[None] / 64 - 2
    filled_1CHW = fill_holes(image_1CHW, torch.from_numpy(mask_HW.astype(np.float32))[None])
    return _uint8((filled_1CHW[0].permute(1, 2, 0).numpy() + 2) * 64)


FILLS: dict[str, Callable[[Picture, Mask], Picture]] = {
    "mean": fill_with_mean,
    "mean-grown": fill_with_mean_grown,
    "blur": fill_with_blur,
    "navier-stokes": fill_by_navier_stokes,
    "pyramid": fill_by_pyramid,
    "inpaint": fill_by_inpaint,
}


def move_background(move: Move, picture_HW3: Picture) -> Picture:
    """As an audit moves it."""
    moved_3HW = move.apply(torch.from_numpy(np.ascontiguousarray(picture_HW3)).permute(2, 0, 1))
    return np.asarray(moved_3HW.permute(1, 2, 0).numpy(), np.uint8)


def grow(mask_HW: Mask, pixels: int | None = None) -> Mask:
    """By a disc."""
    radius = round(GROWN * min(mask_HW.shape)) if pixels is None else pixels
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask_HW.astype(np.uint8), disc), bool)


def _pull_push(weighted_HW3: Floats, weight_HW: Floats) -> Floats:
    """Means of what is known, from the coarsest scale to the finest."""
    height, width = weight_HW.shape
    known_HW1: Floats = np.minimum(weight_HW, np.float32(1))[..., None]
    own_HW3 = np.asarray(weighted_HW3 / np.maximum(weight_HW, 1e-6)[..., None], np.float32)
    if min(height, width) <= 1:
        return own_HW3
    half = (width + 1) // 2, (height + 1) // 2
    total_hw3, weight_hw = (_halved(part_HW, half) for part_HW in (weighted_HW3, weight_HW))
    excess_hw: Floats = np.maximum(weight_hw, np.float32(1))
    below_hw3 = _pull_push(total_hw3 / excess_hw[..., None], weight_hw / excess_hw)
    below_HW3 = np.asarray(cv2.resize(below_hw3, (width, height)), np.float32)
    filled_HW3: Floats = known_HW1 * own_HW3 + (1 - known_HW1) * below_HW3
    return filled_HW3


def _halved(part_HW: Floats, size: tuple[int, int]) -> Floats:
    """Sums over blocks of four pixels."""
    return np.asarray(4 * cv2.resize(part_HW, size, interpolation=cv2.INTER_AREA), np.float32)


def _mean_outside(picture_HW3: Picture, mask_HW: Mask) -> Floats:
    outside_N3 = picture_HW3[~mask_HW] if not mask_HW.all() else picture_HW3.reshape(-1, 3)
    mean_3: Floats = outside_N3.mean(0, dtype=np.float32)
    return mean_3


def _inside(picture_HW3: Picture, mask_HW: Mask, other: NDArray[np.generic]) -> Picture:
    return _uint8(np.where(mask_HW[..., None], other, picture_HW3))


def _blurred(value_HW1: Floats, deviation: float) -> Floats:
    blurred_HW = cv2.GaussianBlur(value_HW1[..., 0], (0, 0), deviation)
    return np.asarray(blurred_HW[..., None], np.float32)


def _uint8(value_HW3: NDArray[np.generic]) -> Picture:
    return np.clip(np.rint(value_HW3.astype(np.float32)), 0, 255).astype(np.uint8)
