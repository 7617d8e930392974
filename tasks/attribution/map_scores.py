"""How much of a map is on the foreground. Shapes: B images, H W pixels, h w cells of the map."""

from __future__ import annotations

import pyarrow as pa
import torch
from torch import Tensor

from models.map_quality import localisation
from tasks import schema
from tasks.attribution.encode import nullable

VERSION = 2  # of the scores


def score_maps(
    row_ids: list[str], map_Bhw: Tensor, mask_BHW: Tensor, other_Mhw: Tensor | None = None
) -> pa.RecordBatch:
    """Scores of float32 maps for images with a foreground (mask: its share of each pixel).

    Masks of other images give the score of the same map where objects usually are.
    """
    cells_Bhw = localisation.to_cells(mask_BHW, (map_Bhw.shape[1], map_Bhw.shape[2]))
    area_B = cells_Bhw.mean((1, 2))
    share_B = localisation.foreground_share(map_Bhw, cells_Bhw)
    lift_B = localisation.lift(share_B, area_B)
    pointing_B = localisation.pointing(map_Bhw.abs(), mask_BHW)  # energy, as in the share
    unknown_B = share_B.isnan().cpu().numpy()
    return pa.record_batch(
        [
            pa.array(row_ids, pa.string()),
            pa.array(area_B.cpu().numpy()),
            nullable(share_B),
            nullable(lift_B),
            nullable(_centre(lift_B, map_Bhw, other_Mhw)),
            pa.array(pointing_B.cpu().numpy(), mask=unknown_B),
        ],
        schema=schema.SCORES,
    )


def _centre(lift_B: Tensor, map_Bhw: Tensor, other_Mhw: Tensor | None) -> Tensor:
    if other_Mhw is None or not len(other_Mhw):
        return torch.full_like(lift_B, torch.nan)
    return lift_B / localisation.lift_elsewhere(map_Bhw, other_Mhw)
