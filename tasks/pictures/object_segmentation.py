"""The foreground of a picture by a map of where objects are, cut along its colours.

The map comes from a pretrained network (models/classifier/object_network.py) and is coarse. Its
odds and those of the colours inside and outside it are cut together, as the estimate by graph cuts
alone does it; the border of the picture is not taken to be background. Shapes: V views, h w cells
of the map or pixels of a square copy.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from tasks.pictures.colour_mixtures import (
    Array,
    Mask,
    Picture,
    graph_cut,
    monomials,
    widest_plane,
)
from tasks.pictures.segmentation import (
    FINE,
    NARROW,
    Estimate,
    FineCut,
    colour_odds,
    follow_outline,
    is_usable,
    mask_tensor,
    rate_cut,
    remove_specks,
    resize,
)

VERSION = 1  # raise it, with CHANGELOG, when the mask or confidence of any picture changes

# Chosen on half of the masked photographs: benchmarks/audit/photograph_foregrounds.py
THRESHOLD = 0.39  # of the map
CONTRAST = 20.0  # nats for one unit of the map
COLOUR_WEIGHT = 0.5
MOST_BY_COLOUR = 6.0  # nats
SMOOTHNESS = 16.0  # nats for a boundary as long as a pixel
ROUNDS = 2  # of fitting colours and cutting
FALLBACK = 0.8  # quantile of a map that marks next to nothing, or all


def segment_by_map(picture_CHW: Tensor, map_Vhw: Array) -> Estimate:
    """The foreground of any uint8 picture by the maps of its views; confidence 0 where there seems
    to be none."""
    if min(picture_CHW.shape[1:]) < NARROW:
        return Estimate(torch.zeros_like(picture_CHW[0]), 0.0)
    picture_HW3 = np.ascontiguousarray(picture_CHW.permute(1, 2, 0).numpy())
    fine_hw3 = resize(picture_HW3, FINE, FINE)
    fine = _cut(fine_hw3, map_Vhw.mean(0))
    if not is_usable(fine.mask_hw):
        return Estimate(mask_tensor(follow_outline(picture_HW3, fine)), 0.0)
    view_Vhw = np.stack([_cut(fine_hw3, view_hw).mask_hw for view_hw in map_Vhw])
    mask_HW = follow_outline(picture_HW3, fine)
    return Estimate(mask_tensor(mask_HW), rate_cut(fine, view_Vhw, fine_hw3))


def _cut(fine_hw3: Picture, map_hw: Array) -> FineCut:
    """Cut by the map and by the colours of what it marks."""
    map_odds_hw = CONTRAST * (_enlarge(map_hw) - THRESHOLD)
    mask_hw = _start(map_odds_hw)
    colour_PM = monomials(fine_hw3.reshape(-1, 3))
    plane_P2 = widest_plane(colour_PM)
    for _ in range(ROUNDS):
        odds_TP, gaussian_GKM = colour_odds(colour_PM, mask_hw.reshape(1, -1))
        by_colour_hw = COLOUR_WEIGHT * odds_TP.reshape(FINE, FINE)
        odds_hw = map_odds_hw + by_colour_hw.clip(-MOST_BY_COLOUR, MOST_BY_COLOUR)
        cut_hw = remove_specks(graph_cut(odds_hw, plane_P2, SMOOTHNESS))
        mask_hw = cut_hw if is_usable(cut_hw) else mask_hw
    return FineCut(mask_hw, map_odds_hw, gaussian_GKM)


def _start(odds_hw: Array) -> Mask:
    """What the map marks."""
    mask_hw: Mask = odds_hw > 0
    if is_usable(mask_hw):
        return mask_hw
    most_hw: Mask = odds_hw > np.quantile(odds_hw, FALLBACK)
    return most_hw


def _enlarge(map_hw: Array) -> Array:
    enlarged_hw = cv2.resize(map_hw.astype(np.float32), (FINE, FINE))
    return np.asarray(enlarged_hw, np.float64)
