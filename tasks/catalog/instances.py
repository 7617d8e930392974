"""Instances of categories, and the foreground that they form for the label of an image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.catalog.labels import match_categories
from tasks.catalog.listing import Listing, instances_type


class Instance(NamedTuple):
    """One object in a picture: a box, polygons or a run length; None is any category."""

    category: str | int | None
    region: dict[str, Any]


def instances_of(rows: Iterable[Sequence[Instance]]) -> pa.Array:
    """Instances of each image; a row of none is null."""
    counts: list[int] = []
    categories: list[str | int | None] = []
    regions: list[str] = []
    for row in rows:
        counts.append(len(row))
        categories.extend(instance.category for instance in row)
        regions.extend(json.dumps(instance.region, separators=(",", ":")) for instance in row)
    kind = instances_type(pa.string())
    if {type(category) for category in categories} - {type(None)} == {int}:
        kind = instances_type(pa.int64())
    else:
        categories = [None if category is None else str(category) for category in categories]
    instances = pa.StructArray.from_arrays(
        [pa.array(categories, kind.value_type[0].type), pa.array(regions, pa.string())],
        fields=list(kind.value_type),
    )
    offsets = pa.array([0, *accumulate(counts)], pa.int32())
    empty = pa.array([not count for count in counts], pa.bool_())
    return pa.ListArray.from_arrays(offsets, instances, mask=empty)


def unite_instances(
    instances: pa.Array, labels: pa.Array, classes: tuple[str, ...], rule: str
) -> pa.Array:
    """The catalog's regions, as JSON: the instances whose category is the row's label.

    A row without a label keeps all its instances; an instance without a category fits any label.
    """
    flat = pc.list_flatten(instances)
    row = pc.list_parent_indices(instances)
    kept = pa.array(np.ones(len(flat), bool))
    if labels.null_count < len(labels):
        category, label = pc.struct_field(flat, "category"), labels.take(row)
        same = pc.fill_null(pc.equal(match_categories(category, classes, rule), label), False)
        kept = pc.or_(same, pc.or_(label.is_null(), category.is_null()))
    texts = pc.struct_field(flat, "region").filter(kept)
    return _join_by_row(texts, row.filter(kept).to_numpy(), len(instances))


def _join_by_row(texts: pa.Array, row: np.ndarray, rows: int) -> pa.Array:
    """A JSON list of the texts of each row, null for a row without any; `row` is sorted."""
    counts = np.bincount(row, minlength=rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    inside = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ",")
    lists = pc.binary_join_element_wise("[", inside, "]", "")
    return pc.if_else(pa.array(counts > 0), lists, pa.scalar(None, pa.string()))


def gather_instances(listing: Listing) -> Listing:
    """One row per image from a table with one row per box; each box is of its own row's label.

    The image keeps a label where all its rows agree, and the other columns of its first row.
    """
    coded = listing.image.dictionary_encode()
    image, names = coded.indices.to_numpy(), len(coded.dictionary)
    if names == len(image):
        return listing
    _, first = np.unique(image, return_index=True)
    order = np.argsort(image, kind="stable")
    boxes = listing.instances.take(pa.array(order))
    labels = listing.label.take(pa.array(order)).take(pc.list_parent_indices(boxes))
    regions = pc.struct_field(pc.list_flatten(boxes), "region")
    kind = instances_type(labels.type)
    counts = np.bincount(image[order][pc.list_parent_indices(boxes).to_numpy()], minlength=names)
    instances = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()),
        pa.StructArray.from_arrays([labels, regions], fields=list(kind.value_type)),
        mask=pa.array(counts == 0),
    )
    rows = listing.take(pa.array(first))
    agree = pa.array(_labels_agree(listing.label, image, names))
    label = pc.if_else(agree, rows.label, pa.scalar(None, labels.type))
    return replace(rows, label=label, instances=instances)


def _labels_agree(labels: pa.Array, image: np.ndarray, images: int) -> np.ndarray:
    """Does each image have the same label in all its rows?"""
    codes = labels.dictionary_encode().indices.fill_null(-1).to_numpy()
    low, high = np.full(images, len(codes)), np.full(images, -2)
    np.minimum.at(low, image, codes)
    np.maximum.at(high, image, codes)
    agree: np.ndarray = low == high
    return agree
