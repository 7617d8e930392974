"""What a map attends to beside the object. Shapes: B images, D channels, H W pixels, h w cells."""

from __future__ import annotations

import pyarrow as pa
import torch
from torch import Tensor

from models.map_quality.localisation import to_cells
from models.network import features
from tasks import schema
from tasks.attribution.encode import encode_vectors, nullable

VERSION = 1  # of the columns
MOST_CELLS = 14  # a side, of the energy that is kept
LEAST_SHARE = 1e-5  # of the energy; less is the rounding error of a mask that covers everything


def attended_background(
    row_ids: list[str], map_Bhw: Tensor, mask_BHW: Tensor, activation_BDhw: Tensor
) -> pa.RecordBatch:
    """Rows of schema.ATTENDED_BACKGROUND; a mask of NaN is unknown, and the whole picture counts.

    The cells of the activation may be others than the map's; it has no channels without a layer.
    """
    size = map_Bhw.shape[1], map_Bhw.shape[2]
    energy_Bhw = map_Bhw.clamp(min=0)
    energy_Bhw = energy_Bhw / energy_Bhw.sum((1, 2), keepdim=True)  # NaN for a map of zeros
    inside_Bhw = to_cells(mask_BHW, size)
    outside_Bhw = energy_Bhw * (1 - inside_Bhw.nan_to_num(0))
    share_B = outside_Bhw.sum((1, 2))
    is_attended_B = share_B > LEAST_SHARE
    weight_Bhw = outside_Bhw / share_B.where(is_attended_B, torch.nan)[:, None, None]
    is_marked_B = is_attended_B & ~inside_Bhw[:, 0, 0].isnan()
    kept = min(size[0], MOST_CELLS), min(size[1], MOST_CELLS)
    return pa.record_batch(
        [
            pa.array(row_ids, pa.string()),
            encode_vectors(_pool(activation_BDhw, weight_Bhw)),
            encode_vectors(_sum_to(weight_Bhw, kept).flatten(1)),
            nullable(share_B.where(is_marked_B, torch.nan)),
        ],
        schema=schema.ATTENDED_BACKGROUND,
    )


def _pool(activation_BDhw: Tensor, weight_Bhw: Tensor) -> Tensor:
    if not activation_BDhw.shape[1]:
        return activation_BDhw.flatten(1)
    cells = activation_BDhw.shape[2], activation_BDhw.shape[3]
    return features.project(features.pool(activation_BDhw, _sum_to(weight_Bhw, cells)))


def _sum_to(weight_Bhw: Tensor, cells: tuple[int, int]) -> Tensor:
    """The weights on other cells, with the same sum."""
    if weight_Bhw.shape[1:] == cells:
        return weight_Bhw
    merged = weight_Bhw.shape[1] * weight_Bhw.shape[2] / (cells[0] * cells[1])
    return to_cells(weight_Bhw, cells) * merged
