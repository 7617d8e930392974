"""The vectors that images are grouped by, and what is known of each image, shard by shard.

Shapes: N images, F numbers of a vector, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.discover.facts import UNKNOWN, Facts
from tasks.flags.sure_estimates import least_confidence_of, sure_rows
from tasks.runs.reader import Run, join
from tasks.runs.stages import (
    ATTENDED_BACKGROUND,
    INTERVENTIONS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    SCORES,
)

PROPERTIES = tuple(name for name in schema.PICTURE_PROPERTIES.names if name != "row_id")


@dataclass(frozen=True)
class ShardImages:
    """The predicted images of a shard."""

    row_ids: pa.ChunkedArray
    facts: Facts
    vectors: Mapping[str, np.ndarray]  # by space, each (N, F); rows of NaN where there is none
    properties: Mapping[str, np.ndarray]  # by name, each (N,); NaN where an image lacks it


def read_shards(run: Run, method: str) -> Iterator[tuple[int, ShardImages]]:
    """Each shard that has predictions, with its number."""
    least = least_confidence_of(run)
    for shard in run.shards:
        images = read_shard_images(run, shard, method, least)
        if images is not None:
            yield shard, images


def read_shard_images(run: Run, shard: int, method: str, least: float) -> ShardImages | None:
    """One shard's images; None without predictions. An estimated foreground that is less sure than
    `least` counts as none: where it misses its object, that would be taken for background."""
    columns = ["row_id", "content_id", "label", "prediction"]
    table = run.part(PREDICTIONS, shard, columns)
    if table is None:
        return None
    removed = ["row_id", "object_removed_prediction", "background_removed_prediction"]
    removed += ["object_removed_features"]
    for stage, names in (
        (INTERVENTIONS, removed),
        (ATTENDED_BACKGROUND.of(method), None),
        (PICTURE_PROPERTIES, None),
        (SCORES.of(method), ["row_id", "area"]),
    ):
        part = run.part(stage, shard, names)
        if part is None:
            assert stage.columns is not None
            part = stage.columns.empty_table().select(names or stage.columns.names)
        if stage.is_one_of(INTERVENTIONS, SCORES):
            part = sure_rows(run, shard, part, least)
        table = join(table, part)
    properties = {name: _floats(table[name]) for name in PROPERTIES}
    vectors = {
        "background": _vectors(table["object_removed_features"]),
        "attended": _vectors(table["features"]),  # where the map lies outside the foreground
        "place": _vectors(table["energy"]),  # of the map outside the foreground, by cell
        "properties": _side_by_side(properties),
    }
    return ShardImages(table["row_id"], _facts(table, run.state.classes), vectors, properties)


def _facts(table: pa.Table, classes: Sequence[str]) -> Facts:
    content_N = content_numbers(table["content_id"])
    known = pa.array(classes)

    def codes(name: str) -> np.ndarray:
        index = pc.index_in(table[name].cast(pa.string()), known)
        codes_N: np.ndarray = pc.fill_null(index, UNKNOWN).to_numpy().astype(np.int32)
        return codes_N

    return Facts(
        proposes_N=(content_N & np.uint64(1)) == 0,
        content_N=content_N,
        label_N=codes("label"),
        prediction_N=codes("prediction"),
        alone_N=codes("object_removed_prediction"),
        bare_N=codes("background_removed_prediction"),
        area_N=_floats(table["area"]),
        brightness_N=_floats(table["brightness"]),
    )


def content_numbers(content_id: pa.ChunkedArray) -> np.ndarray:
    """The hashes of pictures as uint64."""
    return np.array([int(text[:16], 16) for text in content_id.to_pylist()], np.uint64)


def _side_by_side(properties: Mapping[str, np.ndarray]) -> np.ndarray:
    """A property that an image lacks, such as the quality of a PNG, counts as 0."""
    columns = np.stack([*properties.values()], 1)
    has_none_N1 = np.isnan(columns).all(1, keepdims=True)
    property_NF: np.ndarray = np.where(has_none_N1, np.float32(np.nan), np.nan_to_num(columns))
    return property_NF


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.cast(pa.float32()).to_numpy(zero_copy_only=False)
    return floats.astype(np.float32)


def _vectors(column: pa.ChunkedArray) -> np.ndarray:
    """Lists of one length as rows; a null is a row of NaN."""
    lists = column.combine_chunks()
    valid_N = lists.is_valid().to_numpy(zero_copy_only=False)
    flat = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // max(1, int(valid_N.sum()))
    vector_NF = np.full((len(lists), width), np.nan, np.float32)
    vector_NF[valid_N] = flat.reshape(-1, width) if width else 0
    return vector_NF
