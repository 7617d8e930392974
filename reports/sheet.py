"""Pictures with their maps on one sheet, to compare epochs by. Shapes: N pictures, H W pixels."""

from __future__ import annotations

import numpy as np

from reports.heatmaps import Map, Mask, Picture, outline, overlay, png

GAP = 6
RIGHT, WRONG = (46, 125, 50), (198, 40, 40)  # of the bar below an answer


def contact_sheet(
    picture_NHW3: Picture, map_NHW: Map, mask_NHW: Mask, right_N: np.ndarray
) -> bytes:
    """A PNG: pictures above, their maps below, and whether the answer is right as a bar."""
    columns = [
        _column(picture_HW3, map_HW, mask_HW if mask_HW.any() else None, bool(right))
        for picture_HW3, map_HW, mask_HW, right in zip(
            picture_NHW3, map_NHW, mask_NHW, right_N, strict=True
        )
    ]
    gap_HW3 = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    parts = [part for column in columns for part in (column, gap_HW3)][:-1]
    return png(np.concatenate(parts, 1))


def _column(picture_HW3: Picture, map_HW: Map, mask_HW: Mask | None, right: bool) -> Picture:
    above_HW3, below_HW3 = outline(picture_HW3, mask_HW), overlay(picture_HW3, map_HW, mask_HW)
    bar_HW3 = np.empty((GAP, above_HW3.shape[1], 3), np.uint8)
    bar_HW3[:] = RIGHT if right else WRONG
    return np.concatenate([above_HW3, below_HW3, bar_HW3], 0)
