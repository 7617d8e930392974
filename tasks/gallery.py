"""The images that a person should look at first, read again in the model's geometry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.preprocessing import Preprocessing
from tasks import schema
from tasks.places import open_parquet, read_table
from tasks.read import Ground, Sample, read_sample
from tasks.reader import open_run
from tasks.shard import rows_of
from tasks.store import RunFolder

SHOWN = 12


def examples_of(run_folder: RunFolder, method: str) -> list[schema.Example]:
    """The flagged images with the lowest lift; without any flag, the least confident ones."""
    run = open_run(run_folder.path)
    preprocessing = Preprocessing.model_validate(run.state["identity"]["preprocessing"])
    flags = _flagged(run_folder) or _least_confident(run_folder)
    wanted = pc.field("row_id").isin(pa.array(list(flags), pa.string()))
    rows = {row.row_id: row for row in rows_of(read_table(run_folder.catalog, filters=wanted))}
    identity = run.state["identity"]
    ground = Ground(identity["polarity"], identity["orientation"])
    predicted = {row["row_id"]: row for row in _parts(run_folder, "predictions", wanted)}
    maps = run.maps(list(flags), method, preprocessing.size)
    examples = []
    for row_id in flags.keys() & maps.keys():
        sample = read_sample(rows[row_id], preprocessing, ground)
        if isinstance(sample, Sample):
            examples.append(_example(sample, flags[row_id], predicted[row_id], maps[row_id]))
    order = list(flags)
    return sorted(examples, key=lambda example: order.index(example.row_id))


def _flagged(run_folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Rows of the flags table by row_id, the lowest lift first."""
    flags = open_parquet(run_folder.flags)
    groups = (flags.read_row_group(group) for group in range(flags.num_row_groups))
    flagged = (
        group.filter(pc.equal(group["flag"].cast(pa.string()), "rests_on_background"))
        for group in groups
    )
    return {row["row_id"]: row for row in _first(flagged, "lift")}


def _least_confident(run_folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Rows of the flags table by row_id, the lowest confidence first."""
    columns = ["row_id", "confidence"]
    parts = (read_table(path, columns) for path in run_folder.parts("predictions"))
    row_ids = [row["row_id"] for row in _first(parts, "confidence")]
    wanted = pc.field("row_id").isin(pa.array(row_ids, pa.string()))
    by_row = {
        row["row_id"]: row for row in read_table(run_folder.flags, filters=wanted).to_pylist()
    }
    return {row_id: by_row[row_id] for row_id in row_ids}


def _first(tables: Iterable[pa.Table], by: str) -> list[dict[str, Any]]:
    """The rows with the smallest values of all tables, which pass by one after the other."""
    first = None
    for table in tables:
        both = table if first is None else pa.concat_tables([first, table])
        first = both.sort_by([(by, "ascending"), ("row_id", "ascending")]).slice(0, SHOWN)
    return [] if first is None else first.to_pylist()


def _parts(run_folder: RunFolder, stage: str, wanted: pc.Expression) -> list[dict[str, Any]]:
    return [
        row
        for path in run_folder.parts(stage)
        for row in read_table(path, filters=wanted).to_pylist()
    ]


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
        map_HW=abs(map_hw),  # a signed map's energy, which its scores are of
        mask_HW=None if sample.mask_HW is None else sample.mask_HW.numpy() >= 128,
    )
