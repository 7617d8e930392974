"""An estimate of the foreground of a picture without annotations, and of its confidence.

Several tries on a small copy treat the border as background and start from ellipses around the
centre or from what is salient; each is one round of GrabCut. What half of them agree on is cut
again on a larger copy, and its outline follows the pixels of the picture. No randomness, no state,
no training. Shapes: h w pixels of a square copy, P all of them, T tries.
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
    fit_mixtures,
    graph_cut,
    log_densities,
    monomials,
    widest_plane,
)
from tasks.pictures.saliency import saliency_map

VERSION = 1  # raise it, with CHANGELOG, when the mask or confidence of any picture changes

COARSE, FINE, FULL = 32, 64, 256  # sides of the copies; an outline needs no more
NARROW = 8  # pixels; narrower pictures show nothing
RADII = (0.6, 0.8, 1.5)  # of the ellipses to start from; 1 reaches the border, 1.5 the corners
LOOSE, TIGHT = 16.0, 25.0  # nats for a boundary as long as a pixel, on the two copies
ROUNDS = 2  # of fitting and cutting on the larger copy
SALIENCY_ODDS = 6.0  # nats for what is fully salient
SALIENT_SHARE = 0.9  # of Otsu's threshold, from which saliency speaks for the foreground
LEAST, MOST = 0.01, 0.95  # share of a picture that can be its foreground
SPECK = 0.1  # share of the largest part, below which a part is dropped
OUTSIDE = -1e3  # nats for the border
UNSURE = 4.0  # nats; odds near the outline are clipped here
CLEARLY = 2.0  # times the mean change between neighbours: there is an edge


@dataclass(frozen=True)
class Estimate:
    """An estimated foreground; uint8, 255 = foreground. Confidence ranks estimates, 0 to 1."""

    mask_HW: Tensor
    confidence: float


@dataclass(frozen=True)
class FineCut:
    """The foreground on the larger copy, and the odds without smoothness."""

    mask_hw: Mask
    odds_hw: Array  # nats for the foreground before the cut: by colour, or by a map of objects
    gaussian_GKM: Array  # of the foreground and of the background


def estimate_foreground(picture_CHW: Tensor) -> Estimate:
    """The foreground of any uint8 picture; confidence 0 where there seems to be none."""
    if min(picture_CHW.shape[1:]) < NARROW:
        return Estimate(torch.zeros_like(picture_CHW[0]), 0.0)
    picture_HW3 = np.ascontiguousarray(picture_CHW.permute(1, 2, 0).numpy())
    coarse_hw3 = resize(picture_HW3, COARSE, COARSE)
    fine_hw3 = resize(picture_HW3, FINE, FINE)
    salient_hw = _saliency_odds(coarse_hw3)
    tries_Thw = _cut_from_starts(coarse_hw3, salient_hw)
    majority_hw = _majority(tries_Thw, salient_hw)
    fine = _refine(fine_hw3, majority_hw)
    if fine is None:
        return Estimate(mask_tensor(resize_mask(majority_hw, *picture_HW3.shape[:2])), 0.0)
    mask_HW = follow_outline(picture_HW3, fine)
    return Estimate(mask_tensor(mask_HW), rate_cut(fine, tries_Thw, fine_hw3))


def _saliency_odds(coarse_hw3: Picture) -> Array:
    """Nats for the foreground by saliency."""
    lab_hw3 = cv2.cvtColor(coarse_hw3.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    saliency_hw = saliency_map(lab_hw3.astype(np.float64))
    return SALIENCY_ODDS * (saliency_hw - SALIENT_SHARE * _threshold(saliency_hw))


def _threshold(value_hw: Array) -> float:
    """Otsu's threshold: it parts the values in two groups of the largest variance between them."""
    value_P = np.sort(value_hw, axis=None)
    below_P, sum_P = np.arange(1, len(value_P)), np.cumsum(value_P)
    share_P = below_P / len(value_P)
    between_P = (sum_P[-1] * share_P - sum_P[:-1]) ** 2 / (share_P * (1 - share_P))
    last = int(between_P.argmax())
    return float(value_P[last : last + 2].mean())


def _cut_from_starts(coarse_hw3: Picture, salient_hw: Array) -> NDArray[np.bool_]:
    """A cut from each start."""
    start_Thw = np.concatenate([_ellipses(), ((salient_hw > 0) & ~_rim(COARSE))[None]])
    colour_PM = monomials(coarse_hw3.reshape(-1, 3))
    odds_TP, _ = colour_odds(colour_PM, start_Thw.reshape(len(start_Thw), -1))
    odds_Thw = odds_TP.reshape(start_Thw.shape) + salient_hw
    odds_Thw[:, _rim(COARSE)] = OUTSIDE
    plane_P2 = widest_plane(colour_PM)
    return np.stack([graph_cut(odds_hw, plane_P2, LOOSE) for odds_hw in odds_Thw])


def _majority(tries_Thw: NDArray[np.bool_], salient_hw: Array) -> Mask:
    """What half of the usable tries call foreground; what is salient where none is usable."""
    usable = [try_hw for try_hw in tries_Thw if is_usable(try_hw)]
    if not usable:
        return salient_hw > 0
    majority_hw: Mask = np.mean(usable, axis=0) >= 0.5
    return majority_hw


def _refine(fine_hw3: Picture, majority_hw: Mask) -> FineCut | None:
    """Cut the larger copy, starting from the majority; None where that is next to nothing."""
    mask_hw = resize_mask(majority_hw, FINE, FINE)
    if not is_usable(mask_hw):
        return None
    colour_PM = monomials(fine_hw3.reshape(-1, 3))
    plane_P2 = widest_plane(colour_PM)
    for _ in range(ROUNDS):
        odds_TP, gaussian_GKM = colour_odds(colour_PM, mask_hw.reshape(1, -1))
        odds_hw = odds_TP.reshape(FINE, FINE)
        odds_hw[_rim(FINE)] = OUTSIDE
        refined_hw = remove_specks(graph_cut(odds_hw, plane_P2, TIGHT))
        mask_hw = refined_hw if is_usable(refined_hw) else mask_hw
    return FineCut(mask_hw, odds_hw, gaussian_GKM)


def colour_odds(colour_PM: Array, inside_TP: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Nats for the foreground by colour alone, for each mask; and the Gaussians, insides first."""
    gaussian_GKM = fit_mixtures(colour_PM, np.concatenate([inside_TP, ~inside_TP]))
    inside_first_GP = log_densities(colour_PM, gaussian_GKM)
    odds_TP: Array = inside_first_GP[: len(inside_TP)] - inside_first_GP[len(inside_TP) :]
    return odds_TP, gaussian_GKM


def follow_outline(picture_HW3: Picture, fine: FineCut) -> Mask:
    """The mask at the picture's size: pixels near its outline are decided by their own colours."""
    rows, columns = picture_HW3.shape[:2]
    size = max(rows, columns)
    shrink = min(1, FULL / size)
    scale = shrink * size / FINE
    if scale <= 1:
        return resize_mask(_extend_to_border(fine.mask_hw), rows, columns)
    small_HW3 = resize(picture_HW3, max(1, round(rows * shrink)), max(1, round(columns * shrink)))
    mask_HW = resize_mask(_extend_to_border(fine.mask_hw), *small_HW3.shape[:2])
    odds_HW = np.where(mask_HW, UNSURE, -UNSURE).astype(np.float32)
    near_HW = _near_outline(mask_HW, int(np.ceil(scale)) + 1)
    if near_HW.any():
        inside_P, outside_P = log_densities(monomials(small_HW3[near_HW]), fine.gaussian_GKM)
        odds_HW[near_HW] = np.clip(inside_P - outside_P, -UNSURE, UNSURE)
    followed_HW: Mask = resize(cv2.GaussianBlur(odds_HW, (0, 0), scale / 2), rows, columns) > 0
    return followed_HW


def _near_outline(mask_HW: Mask, reach: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    marked_HW = mask_HW.astype(np.uint8)
    near_HW: Mask = cv2.dilate(marked_HW, kernel) > cv2.erode(marked_HW, kernel)
    return near_HW


def rate_cut(fine: FineCut, tries_Thw: NDArray[np.bool_], fine_hw3: Picture) -> float:
    """The geometric mean of how far the tries agree with the result, how far the odds alone agree
    with it, and how much of its outline lies where colours change."""
    resized_Thw = [resize_mask(try_hw, FINE, FINE) for try_hw in tries_Thw]
    agreement = float(np.mean([_iou(try_hw, fine.mask_hw) for try_hw in resized_Thw]))
    by_odds = _iou(fine.odds_hw > 0, fine.mask_hw)
    return float(np.cbrt(agreement * by_odds * _edge_share(fine.mask_hw, fine_hw3)))


def _edge_share(mask_hw: Mask, fine_hw3: Picture) -> float:
    """The share of the outline where colours change clearly more than they do on average."""
    lab_hw3 = cv2.cvtColor(fine_hw3.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    steps = [np.square(np.diff(lab_hw3, axis=axis)).sum(2).ravel() for axis in (0, 1)]
    change_N = np.sqrt(np.concatenate(steps))
    crosses_N = np.concatenate([np.diff(mask_hw, axis=axis).ravel() for axis in (0, 1)])
    return float((change_N[crosses_N] > CLEARLY * change_N.mean()).mean())


def remove_specks(mask_hw: Mask) -> Mask:
    """Drop the parts that are small compared with the largest."""
    _, part_hw, stats, _ = cv2.connectedComponentsWithStats(mask_hw.astype(np.uint8))
    area_N = stats[:, cv2.CC_STAT_AREA]
    kept_N = area_N >= SPECK * area_N[1:].max(initial=0)
    kept_N[0] = False
    kept_hw: Mask = kept_N[part_hw]
    return kept_hw


def _extend_to_border(mask_hw: Mask) -> Mask:
    """Extend the mask to the border pixels, which every cut leaves out."""
    return np.pad(mask_hw[1:-1, 1:-1], 1, mode="edge")


@cache
def _ellipses() -> NDArray[np.bool_]:
    down_hw, right_hw = (np.indices((COARSE, COARSE)) + 0.5) / COARSE * 2 - 1
    away_hw = down_hw**2 + right_hw**2
    return np.stack([(away_hw < radius**2) & ~_rim(COARSE) for radius in RADII])


@cache
def _rim(size: int) -> Mask:
    return np.pad(np.zeros((size - 2, size - 2), bool), 1, constant_values=True)


def is_usable(mask_hw: Mask) -> bool:
    return bool(LEAST < mask_hw.mean() < MOST)


def _iou(first_hw: Mask, second_hw: Mask) -> float:
    return float((first_hw & second_hw).sum() / (first_hw | second_hw).sum())


def resize_mask(mask_hw: Mask, rows: int, columns: int) -> Mask:
    resized_HW: Mask = resize(mask_hw.astype(np.float32), rows, columns) >= 0.5
    return resized_HW


def resize(pixels: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    if pixels.shape[:2] == (rows, columns):
        return pixels
    shrinks = rows < pixels.shape[0] or columns < pixels.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (columns, rows), interpolation=interpolation)


def mask_tensor(mask_HW: Mask) -> Tensor:
    return torch.from_numpy(mask_HW.astype(np.uint8) * 255)
