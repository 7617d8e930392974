"""A run as one Parquet file that Embedding Atlas opens: the table of images with coordinates,
small pictures and nearest neighbours.

It opens no file but this one, so each row has its picture in it, as the model sees it.
Shapes: N images, D numbers of a feature, K neighbours.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import as_path
from models.errors import UserError
from tasks.export.formats import ExportRequest, Format, Progress
from tasks.export.neighbours import MOST, nearest
from tasks.export.picture_files import AHEAD, THREADS, PictureFiles, describe_unread, thumbnail
from tasks.export.selection import Selection, Shard
from tasks.pictures.rows import Row
from tasks.pictures.samples import read_ahead
from tasks.runs.stages import FEATURES
from tasks.storage.parquet import open_writer

FILE = "images.parquet"
SIDE = 160  # pixels of a picture's longer side
SPACE = "whole"  # of the features that neighbours are found by
PICTURE, NEIGHBOURS = "picture", "neighbors"
_NEIGHBOURS = pa.struct({"ids": pa.list_(pa.int32()), "distances": pa.list_(pa.float32())})


def write(request: ExportRequest, folder: Path, progress: Progress) -> list[str]:
    """images.parquet: a row group for each shard."""
    selection, coordinates = request.selection, request.coordinates
    if coordinates is None or not pc.any(pc.is_valid(coordinates[f"{SPACE}_x"])).as_py():
        raise UserError(f"run {selection.run.folder.path} has no features, and so no plot")
    neighbours = _find_neighbours(selection) if selection.total <= MOST else None
    added = _Added(
        PictureFiles.of(selection.run, estimates=False),
        coordinates.drop_columns(["row_id"]),
        neighbours,
    )
    schema = added.schema(selection.schema)
    done = unread = 0
    with open_writer(as_path(folder / FILE), schema) as append:
        for shard in selection.shards():
            pictures = added.pictures(shard)
            columns = [*shard.table.columns, *added.columns(shard, done), pictures]
            append(pa.Table.from_arrays(columns, schema.names).cast(schema))
            done, unread = done + len(shard.table), unread + pictures.null_count
            progress(done, selection.total)
    notes = describe_unread(unread, "their rows have none")
    if neighbours is None:
        notes += [f"neighbours are found for at most {MOST:,} images: choose them with --filter"]
    return notes


def how_to_open(folder: Path) -> str:
    """Neighbours are named where the file has them."""
    import pyarrow.parquet as pq

    file = folder / FILE
    options = ["--x", f"{SPACE}_x", "--y", f"{SPACE}_y", "--image", PICTURE]
    if NEIGHBOURS in pq.read_schema(file).names:
        options += ["--neighbors", NEIGHBOURS]
    return shlex.join(["embedding-atlas", str(file), *options])


@dataclass(frozen=True)
class _Added:
    """What is put beside the table of images."""

    files: PictureFiles
    coordinates: pa.Table  # a row per image of the catalog
    neighbours: pa.Array | None  # a row per exported image

    def schema(self, images: pa.Schema) -> pa.Schema:
        """A user's column that has the name of one of these is called `catalog.<name>`."""
        fields = list(self.coordinates.schema)
        if self.neighbours is not None:
            fields.append(pa.field(NEIGHBOURS, _NEIGHBOURS))
        fields.append(pa.field(PICTURE, pa.binary()))
        ours = {field.name for field in fields}
        theirs = [
            field.with_name(f"catalog.{field.name}") if field.name in ours else field
            for field in images
        ]
        return pa.schema([*theirs, *fields])

    def columns(self, shard: Shard, start: int) -> list[pa.ChunkedArray | pa.Array]:
        """Coordinates and neighbours of a shard, whose first image has this number in the file."""
        columns = list(self.coordinates.take(pa.array(shard.numbers)).columns)
        if self.neighbours is not None:
            columns.append(self.neighbours.slice(start, len(shard.table)))
        return columns

    def pictures(self, shard: Shard) -> pa.Array:
        return pa.array(read_ahead(shard.rows(), self._picture, THREADS, AHEAD), pa.binary())

    def _picture(self, row: Row) -> bytes | None:
        picture_HW3 = self.files.shown(row)
        return None if picture_HW3 is None else thumbnail(picture_HW3, SIDE)


def _find_neighbours(selection: Selection) -> pa.Array:
    """As Embedding Atlas has them: numbers of rows in the file, the row itself first."""
    number_NK, distance_NK = nearest(_features(selection))
    columns = [pa.array(list(number_NK), pa.list_(pa.int32())), pa.array(list(distance_NK))]
    return pa.StructArray.from_arrays(columns, ["ids", "distances"]).cast(_NEIGHBOURS)


def _features(selection: Selection) -> np.ndarray:
    """float32 (N, D); a row of NaN where an image has none."""
    vectors = [vector for shard in selection.shards() for vector in _vectors(shard)]
    length = max((len(vector) for vector in vectors if vector is not None), default=1)
    missing_D = np.full(length, np.nan, np.float32)
    return np.stack([missing_D if vector is None else vector for vector in vectors])


def _vectors(shard: Shard) -> list[np.ndarray | None]:
    part = shard.run.part(FEATURES, shard.number, ["row_id", SPACE])
    if part is None:
        return [None] * len(shard.numbers)
    rows = zip(part["row_id"].to_pylist(), part[SPACE], strict=True)
    found = {
        row_id: vector.values.to_numpy(zero_copy_only=False).astype(np.float32)
        for row_id, vector in rows
        if vector.is_valid
    }
    return [found.get(row_id) for row_id in shard.row_ids]


FORMAT = Format("embedding-atlas", write, how_to_open, needs_coordinates=True)
