"""A run as a dataset on disk that FiftyOne opens by itself: fiftyone.types.FiftyOneDataset.

Pictures stay where they are unless they are copied; maps and foregrounds are PNG files beside
samples.json. Shapes: H W pixels, h w cells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import UserError
from tasks.export.fiftyone_fields import MAP, MASK, as_sample, describe_dataset, label, name_fields
from tasks.export.formats import ExportRequest, Format, Progress
from tasks.export.json_list import JsonList
from tasks.export.picture_files import (
    AHEAD,
    THREADS,
    Picture,
    PictureFiles,
    copy_picture,
    describe_unread,
    numbered,
    write_grey,
)
from tasks.export.selection import Maps, Shard
from tasks.pictures.rows import Row
from tasks.pictures.samples import read_ahead

Sample = dict[str, Any]

IS_LOCAL = "NOT contains({0}, '://') OR starts_with({0}, 'file://') OR starts_with({0}, 'local://')"


def write(request: ExportRequest, folder: Path, progress: Progress) -> list[str]:
    """samples.json and metadata.json; in fields/ maps and foregrounds, in data/ copied pictures."""
    if not request.copy_images:
        _refuse_remote(request)
    writer = _Writer(request, folder, PictureFiles.of(request.selection.run))
    unread = 0
    with (folder / "samples.json").open("w", encoding="utf-8") as file:
        file.write('{"samples": [\n')
        samples = JsonList(file)
        for shard in request.selection.shards():
            for sample, is_read in writer.samples(shard):
                samples.append(sample)
                unread += not is_read
                progress(samples.written, request.selection.total)
        file.write("\n]}\n")
    metadata = describe_dataset(request.selection, request.method)
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return describe_unread(unread, "their samples have no map, no foreground and no size")


def how_to_open(folder: Path) -> str:
    return f"fiftyone.Dataset.from_dir({str(folder)!r}, fiftyone.types.FiftyOneDataset)"


def _refuse_remote(request: ExportRequest) -> None:
    """FiftyOne reads pictures from disk alone."""
    selection = request.selection
    remote = selection.count(f"NOT ({IS_LOCAL.format(selection.database.names['image'])})")
    if remote:
        raise UserError(
            f"FiftyOne reads pictures from disk alone, and {remote} of {selection.total} have "
            "remote addresses: add --copy-images, or leave them out with --filter"
        )


@dataclass(frozen=True)
class _Writer:
    """Makes the samples, and writes their files."""

    request: ExportRequest
    folder: Path
    files: PictureFiles

    def samples(self, shard: Shard) -> Iterator[tuple[Sample, bool]]:
        """Each sample, and whether its picture could be read."""
        maps = {} if self.request.method is None else shard.maps(self.request.method)
        images = zip(shard.numbers, shard.rows(), self._samples_of(shard), strict=True)
        return read_ahead(images, lambda image: self._with_files(*image, maps), THREADS, AHEAD)

    def _samples_of(self, shard: Shard) -> list[Sample]:
        fields = name_fields(self.request.selection.columns)
        values = shard.table.to_pylist()
        return [as_sample(row, it, fields) for row, it in zip(shard.rows(), values, strict=True)]

    def _with_files(self, number: int, row: Row, sample: Sample, maps: Maps) -> tuple[Sample, bool]:
        picture = self.files.read(row)
        if picture is None:
            return sample, False
        rows, columns = picture.size
        sample["metadata"] = {"_cls": "ImageMetadata", "width": columns, "height": rows}
        if self.request.copy_images:
            copied = copy_picture(picture, row.image, self.folder / "data", number)
            sample["filepath"] = str(copied.relative_to(self.folder))
        self._add_foreground(sample, number, row, picture)
        if row.row_id in maps:
            placed_HW = picture.upright(self.files.window(picture).place(maps[row.row_id]))
            sample[MAP] = label(
                row.row_id, MAP, "Heatmap", map_path=self._png(placed_HW, MAP, number)
            )
        return sample, True

    def _add_foreground(self, sample: Sample, number: int, row: Row, picture: Picture) -> None:
        mask_HW = self.files.foreground(row, picture)
        if mask_HW is not None:
            path = self._png(mask_HW.astype(np.float32), MASK, number)
            sample[MASK] = label(row.row_id, MASK, "Segmentation", mask_path=path)

    def _png(self, values_HW: np.ndarray, field: str, number: int) -> str:
        """The path of a new file, from the folder of the dataset."""
        path = numbered(self.folder / "fields" / field, number, ".png")
        write_grey(values_HW, path)
        return str(path.relative_to(self.folder))


FORMAT = Format("fiftyone", write, how_to_open, has_maps=True, has_images=True)
