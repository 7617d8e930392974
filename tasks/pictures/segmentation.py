"""The foreground of a picture that nobody has annotated, and how far to believe it.

Several tries on a small copy take the border for background and start from the middle, wide and
narrow, or from what stands out; each is one round of GrabCut. What half of them agree on is cut
again on a larger copy, and its outline follows the picture's own pixels. No randomness, no state,
nothing learnt. Shapes: h w pixels of a square copy, P all of them, T tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.pictures.colour_mixtures import (
    Array,
    Mask,
    Picture,
    cut,
    learn,
    likelihoods,
    monomials,
    plane_of,
)
from tasks.pictures.saliency import stand_out

VERSION = 1  # of masks and confidences: raised, with CHANGELOG, when any picture's change

COARSE, FINE, FULL = 32, 64, 256  # sides of the copies; an outline needs no more than the last
NARROW = 8  # pixels; what has fewer across shows nothing
RADII = (0.6, 0.8, 1.5)  # of ellipses that a try starts from; 1 reaches the border, 1.5 the corners
LOOSE, TIGHT = 16.0, 25.0  # nats for a pixel's side of boundary, on the two copies
ROUNDS = 2  # of learning and cutting on the larger copy
LEAN, STANDS = 6.0, 0.9  # nats for all that stands out, and from which share of its threshold
LEAST, MOST = 0.01, 0.95  # of a picture that can be its foreground
SPECK = 0.1  # of the largest part, below which another one is no foreground
OUTSIDE = -1e3  # odds of the border
UNSURE = 4.0  # nats at which a pixel of the outline is decided whatever is near it
CLEARLY = 2.0  # times the mean change between neighbours, from which there is an edge


@dataclass(frozen=True)
class Estimate:
    """A guess at the foreground; uint8, 255 = foreground. Confidence ranks, from 0 to 1."""

    mask_HW: Tensor
    confidence: float


@dataclass(frozen=True)
class Found:
    """A foreground on the larger copy, and what its colours alone say."""

    mask_hw: Mask
    odds_hw: Array  # nats for the foreground
    gaussian_GKM: Array  # of the foreground and of the background


def estimate_foreground(picture_CHW: Tensor) -> Estimate:
    """The foreground of any uint8 picture; confidence 0 where there seems to be none."""
    if min(picture_CHW.shape[1:]) < NARROW:
        return Estimate(torch.zeros_like(picture_CHW[0]), 0.0)
    picture_HW3 = np.ascontiguousarray(picture_CHW.permute(1, 2, 0).numpy())
    coarse_hw3 = _resized(picture_HW3, COARSE, COARSE)
    fine_hw3 = _resized(picture_HW3, FINE, FINE)
    lean_hw = _lean(coarse_hw3)
    tries_Thw = _tries(coarse_hw3, lean_hw)
    agreed_hw = _agreed(tries_Thw, lean_hw)
    found = _cut_again(fine_hw3, agreed_hw)
    if found is None:
        return Estimate(_bytes(_enlarged(agreed_hw, *picture_HW3.shape[:2])), 0.0)
    mask_HW = _follow_outline(picture_HW3, found)
    return Estimate(_bytes(mask_HW), _confidence(found, tries_Thw, fine_hw3))


def _lean(coarse_hw3: Picture) -> Array:
    """Nats for the foreground where something stands out."""
    lab_hw3 = cv2.cvtColor(coarse_hw3.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    standing_hw = stand_out(lab_hw3.astype(np.float64))
    return LEAN * (standing_hw - STANDS * _threshold(standing_hw))


def _threshold(value_hw: Array) -> float:
    """Between the two groups of values whose means differ most for their sizes (Otsu)."""
    value_P = np.sort(value_hw, axis=None)
    below_P, sum_P = np.arange(1, len(value_P)), np.cumsum(value_P)
    share_P = below_P / len(value_P)
    between_P = (sum_P[-1] * share_P - sum_P[:-1]) ** 2 / (share_P * (1 - share_P))
    last = int(between_P.argmax())
    return float(value_P[last : last + 2].mean())


def _tries(coarse_hw3: Picture, lean_hw: Array) -> NDArray[np.bool_]:
    """A cut from each start."""
    start_Thw = np.concatenate([_ellipses(), ((lean_hw > 0) & ~_rim(COARSE))[None]])
    colour_PM = monomials(coarse_hw3.reshape(-1, 3))
    odds_TP, _ = _odds(colour_PM, start_Thw.reshape(len(start_Thw), -1))
    odds_Thw = odds_TP.reshape(start_Thw.shape) + lean_hw
    odds_Thw[:, _rim(COARSE)] = OUTSIDE
    plane_P2 = plane_of(colour_PM)
    return np.stack([cut(odds_hw, plane_P2, LOOSE) for odds_hw in odds_Thw])


def _agreed(tries_Thw: NDArray[np.bool_], lean_hw: Array) -> Mask:
    """What half of the usable tries call foreground; else what stands out."""
    usable = [try_hw for try_hw in tries_Thw if _is_usable(try_hw)]
    if not usable:
        return lean_hw > 0
    agreed_hw: Mask = np.mean(usable, axis=0) >= 0.5
    return agreed_hw


def _cut_again(fine_hw3: Picture, agreed_hw: Mask) -> Found | None:
    """The larger copy, cut from what the tries agreed on; None where that is next to nothing."""
    mask_hw = _enlarged(agreed_hw, FINE, FINE)
    if not _is_usable(mask_hw):
        return None
    colour_PM = monomials(fine_hw3.reshape(-1, 3))
    plane_P2 = plane_of(colour_PM)
    for _ in range(ROUNDS):
        odds_TP, gaussian_GKM = _odds(colour_PM, mask_hw.reshape(1, -1))
        odds_hw = odds_TP.reshape(FINE, FINE)
        odds_hw[_rim(FINE)] = OUTSIDE
        closer_hw = _without_specks(cut(odds_hw, plane_P2, TIGHT))
        mask_hw = closer_hw if _is_usable(closer_hw) else mask_hw
    return Found(mask_hw, odds_hw, gaussian_GKM)


def _odds(colour_PM: Array, inside_TP: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Nats for the foreground by colour alone, of each start; and the Gaussians, insides first."""
    gaussian_GKM = learn(colour_PM, np.concatenate([inside_TP, ~inside_TP]))
    inside_first_GP = likelihoods(colour_PM, gaussian_GKM)
    odds_TP: Array = inside_first_GP[: len(inside_TP)] - inside_first_GP[len(inside_TP) :]
    return odds_TP, gaussian_GKM


def _follow_outline(picture_HW3: Picture, found: Found) -> Mask:
    """The mask at the picture's size: pixels near its outline are decided by their own colours."""
    rows, columns = picture_HW3.shape[:2]
    size = max(rows, columns)
    shrink = min(1, FULL / size)
    scale = shrink * size / FINE
    if scale <= 1:
        return _enlarged(_to_the_border(found.mask_hw), rows, columns)
    small_HW3 = _resized(picture_HW3, max(1, round(rows * shrink)), max(1, round(columns * shrink)))
    mask_HW = _enlarged(_to_the_border(found.mask_hw), *small_HW3.shape[:2])
    sure_HW = np.where(mask_HW, UNSURE, -UNSURE).astype(np.float32)
    near_HW = _near_outline(mask_HW, int(np.ceil(scale)) + 1)
    if near_HW.any():
        inside_P, outside_P = likelihoods(monomials(small_HW3[near_HW]), found.gaussian_GKM)
        sure_HW[near_HW] = np.clip(inside_P - outside_P, -UNSURE, UNSURE)
    followed_HW: Mask = _resized(cv2.GaussianBlur(sure_HW, (0, 0), scale / 2), rows, columns) > 0
    return followed_HW


def _near_outline(mask_HW: Mask, reach: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    marked_HW = mask_HW.astype(np.uint8)
    near_HW: Mask = cv2.dilate(marked_HW, kernel) > cv2.erode(marked_HW, kernel)
    return near_HW


def _confidence(found: Found, tries_Thw: NDArray[np.bool_], fine_hw3: Picture) -> float:
    """How far the tries agree with the outcome, how far colours alone do, and how much of the
    outline lies where colours change: the geometric mean."""
    tried_Thw = [_enlarged(try_hw, FINE, FINE) for try_hw in tries_Thw]
    agreement = float(np.mean([_iou(try_hw, found.mask_hw) for try_hw in tried_Thw]))
    by_colour = _iou(found.odds_hw > 0, found.mask_hw)
    return float(np.cbrt(agreement * by_colour * _edge_share(found.mask_hw, fine_hw3)))


def _edge_share(mask_hw: Mask, fine_hw3: Picture) -> float:
    """Of the outline: where colours change clearly more than they do on average."""
    lab_hw3 = cv2.cvtColor(fine_hw3.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    steps = [np.square(np.diff(lab_hw3, axis=axis)).sum(2).ravel() for axis in (0, 1)]
    change_N = np.sqrt(np.concatenate(steps))
    crosses_N = np.concatenate([np.diff(mask_hw, axis=axis).ravel() for axis in (0, 1)])
    return float((change_N[crosses_N] > CLEARLY * change_N.mean()).mean())


def _without_specks(mask_hw: Mask) -> Mask:
    """Without parts that are small beside the largest."""
    _, part_hw, stats, _ = cv2.connectedComponentsWithStats(mask_hw.astype(np.uint8))
    area_N = stats[:, cv2.CC_STAT_AREA]
    kept_N = area_N >= SPECK * area_N[1:].max(initial=0)
    kept_N[0] = False
    kept_hw: Mask = kept_N[part_hw]
    return kept_hw


def _to_the_border(mask_hw: Mask) -> Mask:
    """What touches the frame that every cut leaves out goes on to the border."""
    return np.pad(mask_hw[1:-1, 1:-1], 1, mode="edge")


@cache
def _ellipses() -> NDArray[np.bool_]:
    down_hw, right_hw = (np.indices((COARSE, COARSE)) + 0.5) / COARSE * 2 - 1
    away_hw = down_hw**2 + right_hw**2
    return np.stack([(away_hw < radius**2) & ~_rim(COARSE) for radius in RADII])


@cache
def _rim(size: int) -> Mask:
    return np.pad(np.zeros((size - 2, size - 2), bool), 1, constant_values=True)


def _is_usable(mask_hw: Mask) -> bool:
    return bool(LEAST < mask_hw.mean() < MOST)


def _iou(first_hw: Mask, second_hw: Mask) -> float:
    return float((first_hw & second_hw).sum() / (first_hw | second_hw).sum())


def _enlarged(mask_hw: Mask, rows: int, columns: int) -> Mask:
    enlarged_HW: Mask = _resized(mask_hw.astype(np.float32), rows, columns) >= 0.5
    return enlarged_HW


def _resized(pixels: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    if pixels.shape[:2] == (rows, columns):
        return pixels
    shrinks = rows < pixels.shape[0] or columns < pixels.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (columns, rows), interpolation=way)


def _bytes(mask_HW: Mask) -> Tensor:
    return torch.from_numpy(mask_HW.astype(np.uint8) * 255)
