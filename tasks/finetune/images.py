"""Training images, decoded once into the network's geometry, with labels and foregrounds.

They are held in memory, or in a memory-mapped file if there are too many. Shapes: N images,
B of them, C=3, H, W.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import psutil
import pyarrow as pa
import torch
from torch import Tensor

from models.errors import UserError, list_names
from models.masks import grow_masks
from tasks.finetune.training_patterns import PatternRows, TrainingPattern
from tasks.interventions.foreground_areas import LARGEST_DONOR_FOREGROUND
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Failure, Reader, Sample
from tasks.schema import GROUP_COLUMN

SHARE = 0.3  # of the free memory that the images may take before they go to a file
THREADS = 4
GROWTH = 0.03  # of the side, by which estimated foregrounds grow: cutting the object is worse

log = logging.getLogger("sightline")

OnPicture = Callable[[int, int], None]  # pictures read, of how many


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Images as the network sees them before normalisation, and what is known of them."""

    image_NCHW: Tensor  # uint8
    label_N: Tensor  # int64, class index; -1: unlabelled
    mask_NHW: Tensor  # uint8, 255 = foreground; zeros where it is unknown
    known_N: Tensor  # bool: is the foreground known?
    group_N: Tensor | None = None  # int64, if the data name groups
    patterns: tuple[PatternRows, ...] = ()  # confirmed ones, which the training makes use of

    @classmethod
    def of(
        cls, image_NCHW: Tensor, label_N: Tensor, mask_NHW: Tensor | None = None
    ) -> TrainingImages:
        """Images whose foregrounds are all known, or all unknown."""
        count, _, rows, columns = image_NCHW.shape
        known_N = torch.full((count,), mask_NHW is not None)
        if mask_NHW is None:
            mask_NHW = torch.zeros((), dtype=torch.uint8).expand(count, rows, columns)
        return cls(image_NCHW, label_N, mask_NHW, known_N)

    def __len__(self) -> int:
        return len(self.label_N)

    def labelled(self) -> TrainingImages:
        """The images with a label."""
        kept_N = self.label_N >= 0
        return TrainingImages(
            self.image_NCHW[kept_N],
            self.label_N[kept_N],
            self.mask_NHW[kept_N],
            self.known_N[kept_N],
            None if self.group_N is None else self.group_N[kept_N],
        )

    def donor_rows(self) -> Tensor:
        """Rows whose background may be put behind another image's object."""
        row_N = torch.nonzero(self.known_N)[:, 0]
        areas = [
            self.mask_NHW[row_B].float().mean((1, 2)) / 255 for row_B in torch.split(row_N, 256)
        ]
        area_N = torch.cat(areas) if areas else torch.zeros(0)
        return row_N[(area_N > 0) & (area_N <= LARGEST_DONOR_FOREGROUND)]

    def pattern_donor_rows(self) -> list[Tensor]:
        """The same of each pattern whose background is exchanged, where it has any."""
        behind = [it.row_n for it in self.patterns if it.region is None]
        usable_N = self.donor_rows() if behind else None
        rows = [row_n[torch.isin(row_n, usable_N)] for row_n in behind if usable_N is not None]
        return [row_n for row_n in rows if len(row_n)]


def read_training_images(  # noqa: PLR0913 - what is read, how, and where it may be stored
    catalog: pa.Table,
    classes: tuple[str, ...],
    reader: Reader,
    folder: Path | None = None,
    *,
    group_column: str = GROUP_COLUMN,
    patterns: Sequence[TrainingPattern] = (),
    on_picture: OnPicture | None = None,
) -> TrainingImages:
    """Decode the pictures of a catalog; those that cannot be read are logged and left out."""
    rows, size, kept = rows_of(catalog), reader.preprocessing.size, list[int]()
    image_NCHW, mask_NHW = _allocate(len(rows), size, folder)
    known_N = torch.zeros(len(rows), dtype=torch.bool)
    failures: list[Failure] = []
    for number, sample in enumerate(reader.read_rows(rows, THREADS)):
        failure = sample if isinstance(sample, Failure) else sample.failure
        failures += [failure] if failure is not None else []
        if isinstance(sample, Sample):
            row = len(kept)
            image_NCHW[row] = sample.picture_CHW
            if sample.mask_HW is not None:
                mask_NHW[row] = _grow(sample.mask_HW) if sample.estimated else sample.mask_HW
                known_N[row] = True
            kept.append(number)
        if on_picture is not None:
            on_picture(number + 1, len(rows))
    if failures:
        log.warning(
            "%d of %d pictures cannot be used in full; first: %s",
            len(failures),
            len(rows),
            failures[0].message,
        )
    count, catalog = len(kept), catalog.take(pa.array(kept, pa.int64()))
    return TrainingImages(
        image_NCHW[:count],
        _class_indices(catalog["label"].to_pylist(), classes),
        mask_NHW[:count],
        known_N[:count],
        _groups(catalog, group_column),
        tuple(it.among(catalog["row_id"].combine_chunks()) for it in patterns),
    )


def check_training_images(images: TrainingImages, classes: tuple[str, ...], split: str) -> None:
    """Refuse images from which the classes cannot be learnt."""
    if len(images) < 2:
        raise UserError(f"{len(images)} pictures to train on in {split}: at least 2 are needed")
    present = set(images.label_N.tolist())
    missing = [name for index, name in enumerate(classes) if index not in present]
    if missing and present != {-1}:
        raise UserError(
            f"{len(missing)} of the model's {len(classes)} classes have no picture in {split} "
            f"({list_names(missing, 4)}), and would be forgotten: add some, or leave all unlabelled"
        )


def count_ungrouped(catalog: pa.Table, column: str) -> int:
    """Number of rows without a group: null, or an empty cell of a table."""
    if column not in catalog.column_names:
        return len(catalog)
    return sum(value in (None, "") for value in catalog[column].to_pylist())


def _allocate(count: int, size: tuple[int, int], folder: Path | None) -> tuple[Tensor, Tensor]:
    """Room for images and masks in memory, or in files if that is too small."""
    needed = count * 4 * size[0] * size[1]
    shapes = (count, 3, *size), (count, *size)
    if folder is None or needed <= SHARE * psutil.virtual_memory().available:
        images, masks = (torch.zeros(shape, dtype=torch.uint8) for shape in shapes)
        return images.contiguous(memory_format=torch.channels_last), masks
    log.info("%d pictures take %.0f GB and are kept in %s", count, needed / 1e9, folder)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{count:,} pictures take {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB: "
            "give an --out with more room, or fewer images"
        )
    images, masks = (_allocate_on_disk(shape, folder) for shape in shapes)
    return images, masks


def _allocate_on_disk(shape: tuple[int, ...], folder: Path) -> Tensor:
    """Zeros in an unnamed file, which disappears with the process."""
    with TemporaryFile(dir=folder) as file:
        return torch.from_numpy(np.memmap(file, np.uint8, "w+", shape=shape))


def _grow(mask_HW: Tensor) -> Tensor:
    """Dilate by a few pixels on each side."""
    margin = max(1, round(GROWTH * min(mask_HW.shape)))
    return grow_masks(mask_HW[None].float(), margin)[0].to(torch.uint8)


def _class_indices(labels: list[str | None], classes: tuple[str, ...]) -> Tensor:
    indices: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    return torch.tensor([indices.get(label, -1) for label in labels], dtype=torch.int64)


def _groups(catalog: pa.Table, column: str) -> Tensor | None:
    """Groups numbered by name; None if any row has none."""
    if count_ungrouped(catalog, column):
        return None
    names = list(map(str, catalog[column].to_pylist()))
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64)
