"""A Pascal VOC folder: JPEGImages, SegmentationClass, and the lists of its splits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import pyarrow as pa
from upath import UPath

from models.errors import (
    NothingToAudit,
    UserError,
    describe_os_error,
    find_position,
    list_names,
    suggest,
)
from tasks.catalog.listing import PICTURES, Listing, unlabelled_listing
from tasks.catalog.mask_values import BY_VOC
from tasks.storage.files import join, read_bytes, walk

IMAGES, MASKS, OBJECTS = "JPEGImages", "SegmentationClass", "Annotations"
LISTS = "ImageSets/Segmentation"
READERS = 16  # threads for the small files of objects


def is_voc(root: UPath) -> bool:
    return all((root / folder).is_dir() for folder in (IMAGES, MASKS))


def list_voc(root: UPath, split: str | None) -> Listing:
    """The images of a split, or all with a mask; labelled where all objects are of one class."""
    masks = {name.rpartition(".")[0]: name for name in walk(root / MASKS, PICTURES)}
    stems = sorted(masks) if split is None else _read_split(root, split)
    if not stems:
        raise NothingToAudit(f"VOC folder {root} holds no images{f' of {split}' if split else ''}")
    listing = unlabelled_listing(
        root, pa.array([f"{IMAGES}/{stem}.jpg" for stem in stems], pa.string())
    )
    return replace(
        listing,
        label=pa.array(_only_classes(root, stems), pa.string()),
        masks=pa.array(
            [[f"{MASKS}/{masks[stem]}"] if stem in masks else None for stem in stems],
            pa.list_(pa.string()),
        ),
        mask_values=BY_VOC,
    )


def _read_split(root: UPath, split: str) -> list[str]:
    file = root / LISTS / f"{split}.txt"
    if not file.is_file():
        splits = [name.removesuffix(".txt") for name in walk(root / LISTS, frozenset({".txt"}))]
        raise UserError(
            f"VOC folder {root} has no split {split!r}{suggest(split, splits)}; "
            f"{LISTS} has {list_names(splits)}"
        )
    text: str = file.read_text(encoding="utf-8")
    return text.split()


def _only_classes(root: UPath, stems: list[str]) -> list[str | None]:
    if not (root / OBJECTS).is_dir():
        return [None] * len(stems)
    with ThreadPoolExecutor(READERS) as pool:
        addresses = (join(root, f"{OBJECTS}/{stem}.xml") for stem in stems)
        return list(pool.map(_only_class, addresses))


def _only_class(address: str) -> str | None:
    """The class of all objects in a picture; None for several or no classes, or without a file."""
    try:
        objects = ElementTree.fromstring(read_bytes(address)).iterfind("object/name")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"VOC's objects cannot be read: {describe_os_error(error)}") from error
    except ElementTree.ParseError as error:
        raise UserError(
            f"{address} is not XML{find_position(error)}: VOC's objects are needed"
        ) from error
    names = {each.text for each in objects}
    return names.pop() if len(names) == 1 else None
