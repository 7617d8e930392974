"""What every form of dataset becomes: images in order, with labels, masks and instances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa
from upath import UPath

from models.errors import UserError
from tasks.catalog.settings import BoxFormat

PICTURES = frozenset(  # the suffixes of torchvision's ImageFolder, and what else can be read
    (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif", ".avif")
)
SPLITS = (("train",), ("val", "validation", "valid"), ("test",))  # WILDS numbers them 0, 1, 2


@dataclass(frozen=True)
class Columns:
    """Names of the user's columns; None looks for the usual ones."""

    image: str | None = None
    label: str | None = None
    mask: str | None = None
    key: str | None = None
    split: str | None = None
    boxes: tuple[str, ...] = ()  # four columns, or one with four numbers or lists of four
    box_format: BoxFormat = "xywh"
    seek_masks: bool = True  # look for a column of masks where none has a usual name


@dataclass(frozen=True)
class Listing:
    """Images in order. Addresses are relative to the root; labels are the user's own values."""

    root: UPath
    key: pa.Array  # string
    image: pa.Array  # string
    label: pa.Array  # string or integer, null where unknown
    masks: pa.Array  # list of strings, null where there are none
    instances: pa.Array  # list of {category: string or integer, region: JSON}, null without any
    extra: pa.Table  # the user's other columns
    mask_values: str = "nonzero"  # of the foreground in the masks of this dataset

    def take(self, rows: pa.Array) -> Listing:
        columns = ("key", "image", "label", "masks", "instances", "extra")
        return replace(self, **{name: getattr(self, name).take(rows) for name in columns})


def unlabelled_listing(root: UPath, image: pa.Array) -> Listing:
    """Images without labels, masks and instances."""
    return Listing(
        root,
        key=image,
        image=image,
        label=pa.nulls(len(image), pa.string()),
        masks=pa.nulls(len(image), pa.list_(pa.string())),
        instances=pa.nulls(len(image), instances_type(pa.string())),
        extra=pa.table({}),
    )


def text_column(names: Iterable[str]) -> pa.Array:
    """File names as a column; refuses one that is not UTF-8 and so fits in no table."""
    try:
        return pa.array(names, pa.string())
    except UnicodeEncodeError as error:
        raise UserError(f"the file name {error.object!r} is not UTF-8: rename the file") from error


def instances_type(category: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([("category", category), ("region", pa.string())]))


def split_names(split: str) -> tuple[str, ...]:
    """The name of a split, then its other usual names."""
    for names in SPLITS:
        if split in names:
            return (split, *(name for name in names if name != split))
    return (split,)
