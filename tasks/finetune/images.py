"""Pictures to learn from, decoded once into the network's geometry, with labels and foregrounds.

They lie in memory, or in a file that looks like it where there are too many. Shapes: N pictures,
B of them, C=3, H, W.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import psutil
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from models.errors import UserError, list_names
from tasks.pictures.samples import Failure, Reader, Sample, read_ahead, rows_of

SHARE = 0.3  # of the free memory that pictures may take before they go to a file
THREADS = 4
GROWN = 0.03  # of the side, by which estimated foregrounds grow: cutting the object is worse
LARGEST = 0.6  # foreground areas above which a background would be mostly filling

log = logging.getLogger("sightline")

OnPicture = Callable[[int, int], None]  # so many of so many


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Pictures as the network sees them but for mean and std, and what is known of them."""

    image_NCHW: Tensor  # uint8
    label_N: Tensor  # int64, places in the list of classes; -1: unlabelled
    mask_NHW: Tensor  # uint8, 255 = foreground; zeros where it is not known
    known_N: Tensor  # bool
    group_N: Tensor | None = None  # int64, where the data say so

    @classmethod
    def of(
        cls, image_NCHW: Tensor, label_N: Tensor, mask_NHW: Tensor | None = None
    ) -> TrainingImages:
        """Pictures whose foregrounds are all known, or none."""
        count, _, rows, columns = image_NCHW.shape
        known_N = torch.full((count,), mask_NHW is not None)
        if mask_NHW is None:
            mask_NHW = torch.zeros((), dtype=torch.uint8).expand(count, rows, columns)
        return cls(image_NCHW, label_N, mask_NHW, known_N)

    def __len__(self) -> int:
        return len(self.label_N)

    def donors(self) -> Tensor:
        """Rows whose background may be put behind another picture's object."""
        rows = torch.nonzero(self.known_N)[:, 0]
        areas = [
            self.mask_NHW[row_B].float().mean((1, 2)) / 255 for row_B in torch.split(rows, 256)
        ]
        area = torch.cat(areas) if areas else torch.zeros(0)
        return rows[(area > 0) & (area <= LARGEST)]


def read_training_images(  # noqa: PLR0913 - what is read, how, and where it may lie
    catalog: pa.Table,
    classes: tuple[str, ...],
    reader: Reader,
    folder: Path | None = None,
    *,
    group_column: str = "group",
    on_picture: OnPicture | None = None,
) -> TrainingImages:
    """Decode the pictures of a catalog; those that cannot be read are told and left out."""
    rows, size, kept = rows_of(catalog), reader.preprocessing.size, list[int]()
    image_NCHW, mask_NHW = _room(len(rows), size, folder)
    known = torch.zeros(len(rows), dtype=torch.bool)
    lost: list[Failure] = []
    for number, sample in enumerate(read_ahead(rows, reader, THREADS, 4 * THREADS)):
        failure = sample if isinstance(sample, Failure) else sample.failure
        lost += [failure] if failure is not None else []
        if isinstance(sample, Sample):
            place = len(kept)
            image_NCHW[place] = sample.picture_CHW
            if sample.mask_HW is not None:
                mask_NHW[place] = _grown(sample.mask_HW) if sample.estimated else sample.mask_HW
                known[place] = True
            kept.append(number)
        if on_picture is not None:
            on_picture(number + 1, len(rows))
    if lost:
        log.warning(
            "%d of %d pictures cannot be used in full; first: %s",
            len(lost),
            len(rows),
            lost[0].message,
        )
    count, catalog = len(kept), catalog.take(pa.array(kept, pa.int64()))
    return TrainingImages(
        image_NCHW[:count],
        _places(catalog["label"].to_pylist(), classes),
        mask_NHW[:count],
        known[:count],
        _groups(catalog, group_column),
    )


def check_training_images(album: TrainingImages, classes: tuple[str, ...], split: str) -> None:
    """Refuse what nothing can be learnt from."""
    if len(album) < 2:
        raise UserError(f"{len(album)} pictures to train on in {split}: at least 2 are needed")
    there = set(album.label_N.tolist())
    missing = [name for place, name in enumerate(classes) if place not in there]
    if missing and there != {-1}:
        raise UserError(
            f"{len(missing)} of the model's {len(classes)} classes have no picture in {split} "
            f"({list_names(missing, 4)}), and would be forgotten: add some, or leave all unlabelled"
        )


def ungrouped(catalog: pa.Table, column: str) -> int:
    """How many rows name no group: null, or an empty cell of a table."""
    if column not in catalog.column_names:
        return len(catalog)
    return sum(value in (None, "") for value in catalog[column].to_pylist())


def _room(count: int, size: tuple[int, int], folder: Path | None) -> tuple[Tensor, Tensor]:
    """For pictures and masks: memory, or files where that is too small."""
    needed = count * 4 * size[0] * size[1]
    shapes = (count, 3, *size), (count, *size)
    if folder is None or needed <= SHARE * psutil.virtual_memory().available:
        images, masks = (torch.zeros(shape, dtype=torch.uint8) for shape in shapes)
        return images.contiguous(memory_format=torch.channels_last), masks
    log.info("%d pictures take %.0f GB and lie in %s", count, needed / 1e9, folder)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{count:,} pictures take {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB: "
            "give an --out with more room, or fewer images"
        )
    images, masks = (_on_disk(shape, folder) for shape in shapes)
    return images, masks


def _on_disk(shape: tuple[int, ...], folder: Path) -> Tensor:
    """Zeros in a file without a name, which goes as the process does."""
    with TemporaryFile(dir=folder) as file:
        return torch.from_numpy(np.memmap(file, np.uint8, "w+", shape=shape))


def _grown(mask_HW: Tensor) -> Tensor:
    """By a few pixels on each side."""
    margin = max(1, round(GROWN * min(mask_HW.shape)))
    grown_1HW = max_pool2d(mask_HW[None].float(), 2 * margin + 1, stride=1, padding=margin)
    return grown_1HW[0].to(torch.uint8)


def _places(labels: list[str | None], classes: tuple[str, ...]) -> Tensor:
    places: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    return torch.tensor([places.get(label, -1) for label in labels], dtype=torch.int64)


def _groups(catalog: pa.Table, column: str) -> Tensor | None:
    """Numbers of the groups, by name; None where a row has none."""
    if ungrouped(catalog, column):
        return None
    names = list(map(str, catalog[column].to_pylist()))
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64)
