"""Which masks belong to an image: a table's own, or those of its stem in a parallel folder."""

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

BATCH = 8192  # rows that are Python's at a time


def masks_of(listing: Listing, address: str | None) -> pa.Array:
    """Addresses of each image's masks: the listing's own, or of its stem in the parallel folder."""
    if address is None:
        own = pc.list_flatten(listing.masks)
        counts = pc.fill_null(pc.list_value_length(listing.masks), 0)
        return lists_of(join_addresses(listing.root, own), counts)
    folder = as_path(address)
    if not folder.is_dir():
        raise UserError(f"masks folder {folder} not found")
    known = _masks_by_stem(folder)
    stems = [_stem(image.as_py()) for image in listing.image]
    names = list(known)
    found = [known[names[at]] if at is not None else [] for at in pair_names(stems, names)]
    if not any(found):
        raise UserError(
            f"no mask in {folder} has the stem of an image: images are "
            f"{list_names(listing.image[:3].to_pylist(), 2)}, masks are "
            f"{list_names((mask for masks in known.values() for mask in masks), 2)}"
        )
    masks = text_column(mask for masks in found for mask in masks)
    return lists_of(join_addresses(folder, masks), pa.array([len(masks) for masks in found]))


def _masks_by_stem(folder: UPath) -> dict[str, list[str]]:
    """`cat/1.png`, and all of the folder `cat/1`, are masks of the image `cat/1.jpg`."""
    known: dict[str, list[str]] = {}
    for mask in walk(folder, PICTURES):
        stem = _stem(mask)
        if stem in known:
            raise UserError(
                f"masks folder {folder} has {known[stem][0]!r} and {mask!r}: keep one of them, "
                f"or put several masks of one image into a folder {stem!r}"
            )
        known[stem] = [mask]
    for (mask,) in list(known.values()):
        parent = mask.rpartition("/")[0]
        if parent:
            known.setdefault(parent, []).append(mask)
    return known


def _stem(address: str) -> str:
    return os.path.splitext(address)[0]  # noqa: PTH122  # a fifth of pathlib's time


def lists_of(values: pa.Array, counts: pa.Array) -> pa.Array:
    """So many of the values for each row; null for none."""
    offsets = np.concatenate([[0], np.cumsum(counts.to_numpy(zero_copy_only=False))])
    none = pc.equal(counts, 0)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=none)


def join_addresses(root: UPath, addresses: pa.Array) -> pa.Array:
    """Absolute addresses, with few of them Python's at a time."""
    starts = range(0, len(addresses), BATCH)
    parts = [
        pa.array([join(root, each) for each in addresses.slice(at, BATCH).to_pylist()], pa.string())
        for at in starts
    ]
    return pa.concat_arrays([*parts, pa.array([], pa.string())])
