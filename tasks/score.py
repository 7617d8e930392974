"""How far each map lies on its foreground. Shapes: B images, H W pixels, h w cells of the map."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from torch import Tensor

from models import localisation
from tasks import schema

VERSION = 1  # of the scores


def score_maps(row_ids: list[str], map_Bhw: Tensor, mask_BHW: Tensor) -> pa.RecordBatch:
    """Scores of float32 maps for images with a foreground (mask: its share of each pixel)."""
    cells_Bhw = localisation.to_cells(mask_BHW, (map_Bhw.shape[1], map_Bhw.shape[2]))
    area_B = cells_Bhw.mean((1, 2))
    share_B = localisation.foreground_share(map_Bhw, cells_Bhw)
    pointing_B = localisation.pointing(map_Bhw.abs(), mask_BHW)  # energy, as in the share
    unknown_B = share_B.isnan().cpu().numpy()
    return pa.record_batch(
        [
            pa.array(row_ids, pa.string()),
            pa.array(area_B.cpu().numpy()),
            _nullable(share_B),
            _nullable(localisation.lift(share_B, area_B)),
            pa.array(pointing_B.cpu().numpy(), mask=unknown_B),
        ],
        schema=schema.SCORES,
    )


def _nullable(value_B: Tensor) -> pa.Array:
    values: np.ndarray = value_B.cpu().numpy()
    return pa.array(values, mask=np.isnan(values))
