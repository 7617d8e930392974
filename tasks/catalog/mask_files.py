"""The masks of an image: those of its table, or those with its stem in a parallel folder."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from models.addresses import as_path
from models.errors import UserError, list_names
from tasks.catalog.listing import PICTURES, Listing, text_column
from tasks.catalog.pairing import pair_names
from tasks.storage.files import join, walk

BATCH = 8192  # rows turned into Python values at a time


def masks_of(listing: Listing, address: str | None) -> pa.Array:
    """The addresses of each image's masks: the listing's, or those in the folder at `address`."""
    if address is None:
        masks = pc.list_flatten(listing.masks)
        counts = pc.fill_null(pc.list_value_length(listing.masks), 0)
        return lists_of(join_addresses(listing.root, masks), counts)
    folder = find_mask_folder(address)
    by_stem = _masks_by_stem(folder)
    stems = [_stem(image.as_py()) for image in listing.image]
    names = list(by_stem)
    advice = f"give --masks the folder below {folder} that belongs to the images"
    indices = pair_names(stems, names, advice)
    rows = [[] if index is None else by_stem[names[index]] for index in indices]
    if not any(rows):
        raise UserError(
            f"no mask in {folder} has the stem of an image: images are "
            f"{list_names(listing.image[:3].to_pylist(), 2)}, masks are "
            f"{list_names((mask for masks in by_stem.values() for mask in masks), 2)}"
        )
    masks = text_column(mask for row in rows for mask in row)
    return lists_of(join_addresses(folder, masks), pa.array([len(row) for row in rows]))


def find_mask_folder(address: str) -> UPath:
    """The folder of masks, which must be there."""
    folder = as_path(address)
    if not folder.is_dir():
        raise UserError(f"masks folder {folder} not found: give --masks a folder that exists")
    return folder


def _masks_by_stem(folder: UPath) -> dict[str, list[str]]:
    """`cat/1.png`, and all of the folder `cat/1`, are masks of the image `cat/1.jpg`."""
    by_stem: dict[str, list[str]] = {}
    for mask in walk(folder, PICTURES):
        stem = _stem(mask)
        if stem in by_stem:
            raise UserError(
                f"masks folder {folder} has {by_stem[stem][0]!r} and {mask!r}: keep one of them, "
                f"or put several masks of one image into a folder {stem!r}"
            )
        by_stem[stem] = [mask]
    for (mask,) in list(by_stem.values()):
        parent = mask.rpartition("/")[0]
        if parent:
            by_stem.setdefault(parent, []).append(mask)
    return by_stem


def _stem(address: str) -> str:
    return os.path.splitext(address)[0]  # noqa: PTH122  # a fifth of pathlib's time


def lists_of(values: pa.Array, counts: pa.Array) -> pa.Array:
    """Values as lists of these lengths, one a row; null for an empty one."""
    offsets = np.concatenate([[0], np.cumsum(counts.to_numpy(zero_copy_only=False))])
    none = pc.equal(counts, 0)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=none)


def join_addresses(root: UPath, addresses: pa.Array) -> pa.Array:
    """Absolute addresses, made batch by batch to save memory."""
    starts = range(0, len(addresses), BATCH)
    batches = (addresses.slice(start, BATCH).to_pylist() for start in starts)
    parts = [pa.array([join(root, each) for each in batch], pa.string()) for batch in batches]
    return pa.concat_arrays([*parts, pa.array([], pa.string())])
