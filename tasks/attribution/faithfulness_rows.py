"""How good each map is: its overlap with the foreground, and its effect on the prediction.

Shapes: B images, C=3 colours, H W pixels, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from torch import Tensor

from models.map_quality import localisation
from models.map_quality.faithfulness import find_ends, measure
from models.network.capture import as_found
from models.network.question import Question
from tasks import schema
from tasks.attribution.encode import nullable
from tasks.attribution.plan import Plan
from tasks.runs.stages import FAITHFULNESS, Stage


@dataclass(frozen=True)
class ExplainedImages:
    """Images that were explained, as the network saw them."""

    row_ids: list[str]
    image_BCHW: Tensor  # normalised
    target_B: Tensor
    mask_BHW: Tensor  # the foreground's share of each pixel; NaN without one


def faithfulness_rows(
    plan: Plan, images: ExplainedImages, maps: Mapping[str, Tensor]
) -> dict[Stage, pa.RecordBatch]:
    """schema.MERITS by stage; what does not depend on the map is computed once for all methods."""
    request = Question(plan.classifier.network, images.image_BCHW, images.target_B, plan.room)
    with as_found(request.network):
        ends = find_ends(request)
        measurements = {
            method.name: measure(request, maps[method.name].abs(), ends)
            for method in plan.methods
            if FAITHFULNESS.of(method.name) in plan.stages
        }
    rows = {}
    for name, faithfulness in measurements.items():
        located = _locate(maps[name], images.mask_BHW)
        columns = [pa.array(images.row_ids, pa.string()), *map(nullable, located)]
        columns += [nullable(getattr(faithfulness, column)) for column in schema.MERITS.names[3:]]
        rows[FAITHFULNESS.of(name)] = pa.record_batch(columns, schema=schema.MERITS)
    return rows


def _locate(map_Bhw: Tensor, mask_BHW: Tensor) -> tuple[Tensor, Tensor]:
    """Top-k and effective heat ratio; NaN without a foreground."""
    heat_Bhw = map_Bhw.abs()
    return (
        localisation.top_k(heat_Bhw, mask_BHW),
        localisation.effective_heat_ratio(heat_Bhw, mask_BHW),
    )
