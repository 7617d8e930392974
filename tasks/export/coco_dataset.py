"""A run as COCO's JSON: images, the foregrounds as annotations, and predictions as results.

The label of an image is the category of its foreground. A classifier speaks of the whole picture,
so the box of its prediction is the picture. What Sightline knows besides stands under the key
`sightline`, which other readers ignore. Shapes: H W pixels.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from tasks.export.formats import ExportRequest, Format, Progress
from tasks.export.json_list import JsonList
from tasks.export.picture_files import (
    AHEAD,
    THREADS,
    PictureFiles,
    copy_picture,
    describe_unread,
    local_path,
)
from tasks.export.selection import Selection, Shard
from tasks.pictures.rows import Row
from tasks.pictures.samples import read_ahead

ANNOTATIONS, RESULTS = "annotations.json", "predictions.json"
IMAGES = "images"  # folder of copied pictures
UNLABELLED = 0  # category of a foreground without a label; those of classes begin at 1
OURS = "sightline"

Document = dict[str, Any]


@dataclass(frozen=True)
class _Image:
    """An image, its foreground, and what the model says of it."""

    image: Document
    annotation: Document | None
    result: Document | None
    is_read: bool


def write(request: ExportRequest, folder: Path, progress: Progress) -> list[str]:
    """annotations.json and predictions.json; in images/ copied pictures."""
    later = folder / "annotations.list"  # they stand in the file after all images
    unread = 0
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(path.open("w", encoding="utf-8"))
            for path in (folder / ANNOTATIONS, later, folder / RESULTS)
        )
        first.write(_beginning(request.selection))
        third.write("[\n")
        images, annotations, results = JsonList(first), JsonList(second), JsonList(third)
        for it in _Reader.of(request, folder).images():
            images.append(it.image)
            if it.annotation is not None:
                annotations.append({"id": annotations.written + 1, **it.annotation})
            if it.result is not None:
                results.append(it.result)
            unread += not it.is_read
            progress(images.written, request.selection.total)
        third.write("\n]\n")
        first.write('\n],\n"annotations": [\n')
        second.flush()
        with later.open(encoding="utf-8") as written:
            shutil.copyfileobj(written, first)
        first.write("\n]}\n")
    later.unlink()
    return describe_unread(unread, "they have no size, no foreground and no prediction")


def how_to_open(folder: Path) -> str:
    return (
        f"pycocotools.coco.COCO({str(folder / ANNOTATIONS)!r}).loadRes({str(folder / RESULTS)!r})"
    )


def _beginning(selection: Selection) -> str:
    """Everything that stands before the images."""
    categories = [{"id": number, "name": name} for name, number in _categories(selection).items()]
    categories.append({"id": UNLABELLED, "name": "unlabelled"})
    run = selection.run
    info = {
        "description": f"Exported by Sightline from {run.folder.path}",
        OURS: {column.name: column.words for column in selection.columns},
    }
    head = {"info": info, "licenses": [], "categories": categories}
    return f'{json.dumps(head, ensure_ascii=False)[:-1]},\n"images": [\n'


def _categories(selection: Selection) -> dict[str, int]:
    return {name: number for number, name in enumerate(selection.run.state.classes, 1)}


@dataclass(frozen=True)
class _Reader:
    """Reads the images and their files again."""

    request: ExportRequest
    folder: Path
    files: PictureFiles
    categories: dict[str, int]

    @classmethod
    def of(cls, request: ExportRequest, folder: Path) -> _Reader:
        selection = request.selection
        return cls(request, folder, PictureFiles.of(selection.run), _categories(selection))

    def images(self) -> Iterator[_Image]:
        for shard in self.request.selection.shards():
            yield from read_ahead(_rows_of(shard), lambda row: self._image(*row), THREADS, AHEAD)

    def _image(self, number: int, row: Row, values: Document) -> _Image:
        image = {"id": number + 1, "file_name": local_path(row.image) or row.image, OURS: values}
        picture = self.files.read(row)
        if picture is None:
            return _Image(image, None, None, is_read=False)
        rows, columns = picture.size
        image |= {"width": columns, "height": rows}
        if self.request.copy_images:
            copied = copy_picture(picture, row.image, self.folder / IMAGES, number)
            image["file_name"] = str(copied.relative_to(self.folder))
        mask_HW = self.files.foreground(row, picture)
        annotation = None if mask_HW is None else self._annotation(number, values, mask_HW)
        return _Image(image, annotation, self._result(image, values), is_read=True)

    def _annotation(self, number: int, values: Document, mask_HW: np.ndarray) -> Document:
        runs = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
        return {
            "image_id": number + 1,
            "category_id": self.categories.get(values["label"], UNLABELLED),
            "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
            "area": int(coco.area(runs)),
            "bbox": coco.toBbox(runs).tolist(),
            "iscrowd": 0,
            OURS: {"foreground": values.get("foreground")},
        }

    def _result(self, image: Document, values: Document) -> Document | None:
        if values["prediction"] is None:
            return None
        return {
            "image_id": image["id"],
            "category_id": self.categories[values["prediction"]],
            "bbox": [0, 0, image["width"], image["height"]],
            "score": values["confidence"],
            OURS: {"row_id": values["row_id"], "flag": values.get("flag")},
        }


def _rows_of(shard: Shard) -> Iterator[tuple[int, Row, Document]]:
    return zip(shard.numbers, shard.rows(), shard.table.to_pylist(), strict=True)


FORMAT = Format("coco", write, how_to_open, has_images=True)
