"""The images that a person should look at first, read again in the model's geometry."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.preprocessing import Preprocessing
from tasks import schema
from tasks.read import Row, Sample, read_sample
from tasks.reader import open_run
from tasks.store import RunFolder

SHOWN = 12


def strongest_flags(run_folder: RunFolder, method: str) -> list[schema.Example]:
    """The flagged images with the lowest lift, each with its picture, map and mask."""
    run = open_run(run_folder.path)
    flags = pq.read_table(run_folder.flags)
    flags = flags.filter(pc.equal(flags["flag"].cast(pa.string()), "rests_on_background"))
    flags = flags.sort_by([("lift", "ascending"), ("row_id", "ascending")]).slice(0, SHOWN)
    row_ids = flags["row_id"].to_pylist()
    preprocessing = Preprocessing.model_validate(run.state["identity"]["preprocessing"])
    maps = run.maps(row_ids, method, preprocessing.size) if row_ids else {}
    wanted = pc.field("row_id").isin(pa.array(row_ids, pa.string()))
    rows = {row["row_id"]: row for row in run.catalog.filter(wanted).to_pylist()}
    predicted = _predictions(run_folder, wanted)
    examples = []
    for flag in flags.to_pylist():
        row_id = flag["row_id"]
        row = Row(**{key: rows[row_id][key] for key in ("row_id", "image", "label", "mask")})
        sample = read_sample(row, preprocessing, run.state["identity"]["polarity"])
        if isinstance(sample, Sample) and row_id in maps:
            examples.append(_example(sample, flag, predicted[row_id], maps[row_id]))
    return examples


def _predictions(run_folder: RunFolder, wanted: pc.Expression) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in run_folder.parts("predictions"):
        for row in pq.read_table(path, filters=wanted).to_pylist():
            found[row["row_id"]] = row
    return found


def _example(
    sample: Sample, flag: dict[str, Any], predicted: dict[str, Any], map_hw: Any
) -> schema.Example:
    return schema.Example(
        row_id=sample.row.row_id,
        label=predicted["label"],
        prediction=predicted["prediction"],
        confidence=predicted["confidence"],
        correct=predicted["correct"],
        flag=flag["flag"],
        reason=flag["reason"],
        share=flag["share"],
        lift=flag["lift"],
        picture_HW3=sample.picture_CHW.permute(1, 2, 0).numpy(),
        map_HW=map_hw,
        mask_HW=None if sample.mask_HW is None else sample.mask_HW.numpy() >= 128,
    )
