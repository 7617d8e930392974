"""Compact artefacts: where the maps of a group lie that those of other images do not.

Shapes: h w cells of the map.
"""

from __future__ import annotations

import numpy as np

from tasks.pictures.map_region import Region

MOST_AREA = 0.15  # of the cells that hold most of it: larger ones are no compact artefact
LEAST_ENERGY = 0.1  # of the map, that lies there and does not in other images
HELD = 0.5  # of that energy, in the cells of the region
SIDE = 16  # cells; the outermost are a picture's border
BORDER = Region(
    tuple((row, col) for row, col in np.ndindex(SIDE, SIDE) if {row, col} & {0, SIDE - 1}),
    (SIDE, SIDE),
)


def region_of(energy_hw: np.ndarray, usual_hw: np.ndarray) -> Region | None:
    """The few cells that hold most of what a group's maps have beyond the usual; None where they
    are many, or it is little. Both are flattened squares of cells that sum to 1."""
    side = round(len(usual_hw) ** 0.5)
    if not side or side * side != len(usual_hw) or not np.isfinite(energy_hw).all():
        return None
    more_hw = np.maximum(energy_hw - usual_hw, 0)
    if more_hw.sum() < LEAST_ENERGY:
        return None
    order_hw = np.argsort(-more_hw, kind="stable")
    count = 1 + int(np.searchsorted(np.cumsum(more_hw[order_hw]), HELD * more_hw.sum()))
    if count > max(1, MOST_AREA * len(more_hw)):
        return None
    cells = tuple(sorted(divmod(int(cell), side) for cell in order_hw[:count]))
    return Region(cells, (side, side))
