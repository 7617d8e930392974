"""The catalog: one row an image, with its label and its mask, checked before work begins."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from models.mistakes import Mistake, shown
from tasks import schema
from tasks.labels import BY_NAME, match_labels
from tasks.listing import PICTURES, Columns, Listing, list_images
from tasks.places import join, place, read_bytes, stamps, walk

CHECKED = 256  # rows whose headers are read before work begins


class CatalogMistake(Mistake):
    """A dataset whose rows, masks or files cannot be what the user meant."""


class DataSettings(BaseModel):
    """Which images, and what their labels and masks mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="Folder of images, or a CSV, JSONL or Parquet table of them.")
    masks: str | None = Field(None, description="Folder with a mask of each image's stem.")
    polarity: Literal["foreground", "background"] = Field(
        "foreground", description="What is not zero in a mask."
    )
    orientation: Literal["upright", "stored"] = Field(
        "upright", description="Turn pictures as their EXIF says, or leave them as stored."
    )
    labels: str = Field(
        BY_NAME, description="How labels name the model's classes: name, index, or a mapping file."
    )
    image_column: str | None = Field(None, description="Column with the images' addresses.")
    label_column: str | None = Field(None, description="Column with the labels.")
    mask_column: str | None = Field(None, description="Column with the masks' addresses.")
    key_column: str | None = Field(None, description="Column with a unique key for each row.")
    split: str | None = Field(None, description="Only rows with this value in the column 'split'.")
    sample: int | None = Field(None, ge=1, description="So many images, stratified by label.")
    limit: int | None = Field(None, ge=1, description="Only the first so many images.")
    seed: int = Field(0, description="Seed of the sample.")


def make_catalog(data: DataSettings, classes: tuple[str, ...]) -> pa.Table:
    """The catalog of a dataset; refuses what cannot be matched, sized or read at all."""
    columns = Columns(data.image_column, data.label_column, data.mask_column, data.key_column)
    listing = list_images(place(data.path), columns, data.split)
    labels = match_labels(listing.label, classes, data.labels)
    rows = _chosen(labels, data)
    listing, labels = listing.take(rows), labels.take(rows)
    _refuse_repeated(listing.key)
    _refuse_taken(listing.extra.column_names)
    images = [join(listing.root, address) for address in listing.image.to_pylist()]
    masks = _masks(listing, data)
    table = pa.table(
        [
            listing.key,
            pa.array(images, pa.string()),
            labels,
            pa.array([None if mask is None else [mask] for mask in masks]),
            pa.nulls(len(images), pa.list_(pa.int32())),
            pa.nulls(len(images), pa.string()),
            pa.array(_stamps(images, masks), pa.string()),
        ],
        schema=schema.CATALOG,
    )
    for name in listing.extra.column_names:
        table = table.append_column(name, listing.extra[name])
    return table


def check_catalog(catalog: pa.Table, data: DataSettings) -> list[str]:
    """Read the headers of a sample; returns warnings, refuses when nothing in the sample works."""
    step = max(1, len(catalog) // CHECKED)
    rows = catalog.select(["image", "masks"]).take(list(range(0, len(catalog), step))[:CHECKED])
    problems, coverage = [], []
    for row in rows.to_pylist():
        try:
            size = _size_of(row["image"])
            for mask in row["masks"] or ():
                coverage.append(_coverage(mask, row["image"], size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            problems.append(str(error))
    if len(problems) == len(rows):
        raise CatalogMistake(
            f"none of {len(rows)} images looked at can be used; first: {problems[0]}"
        )
    warnings = []
    if problems:
        warnings.append(
            f"{len(problems)} of {len(rows)} images looked at will fail; first: {problems[0]}"
        )
    covered = float(np.mean(coverage)) if coverage else 0.0
    share = covered if data.polarity == "foreground" else 1 - covered
    if share > 0.5:
        other = "background" if data.polarity == "foreground" else "foreground"
        warnings.append(
            f"masks call {share:.0%} of the picture foreground on average: "
            f"if that is the wrong way round, use --polarity {other}"
        )
    return warnings


def foreground_source(catalog: pa.Table) -> schema.ForegroundSource:
    """Where the foreground comes from: annotated masks, or none."""
    return "annotated" if catalog["masks"].null_count < len(catalog) else "none"


def _chosen(labels: pa.Array, data: DataSettings) -> pa.Array:
    """Row numbers kept by `sample`, as many of each label as its share of the data, and `limit`."""
    rows = np.arange(len(labels))
    if data.sample is not None and data.sample < len(rows):
        generator = np.random.default_rng(data.seed)
        order = generator.permutation(len(rows))
        names = np.asarray(pc.fill_null(labels, "").to_pylist(), dtype=object)[order]
        rank = np.empty(len(rows))
        for name in sorted(set(names)):  # the order of a set is another one in each process
            of_label = np.flatnonzero(names == name)
            rank[of_label] = (np.arange(len(of_label)) + generator.random()) / len(of_label)
        rows = np.sort(order[np.argsort(rank, kind="stable")[: data.sample]])
    return pa.array(rows[: data.limit])


def _masks(listing: Listing, data: DataSettings) -> list[str | None]:
    """Addresses of the masks: the table's column, or the same stem in the parallel folder."""
    if data.masks is None:
        return [
            None if mask is None else join(listing.root, mask) for mask in listing.mask.to_pylist()
        ]
    folder = place(data.masks)
    if not folder.is_dir():
        raise CatalogMistake(f"masks folder {folder} not found")
    by_stem = {str(PurePosixPath(mask).with_suffix("")): mask for mask in walk(folder, PICTURES)}
    images = listing.image.to_pylist()
    found = [by_stem.get(str(PurePosixPath(image).with_suffix(""))) for image in images]
    if not any(found):
        raise CatalogMistake(
            f"no mask in {folder} has the stem of an image: images are {shown(images, 2)}, "
            f"masks are {shown(by_stem.values(), 2)}"
        )
    return [None if mask is None else join(folder, mask) for mask in found]


def _refuse_repeated(keys: pa.Array) -> None:
    counts = pc.value_counts(keys)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if twice:
        raise CatalogMistake(
            f"{len(twice)} keys stand more than once ({shown(twice, 3)}): "
            "name a column of unique keys with --key-column"
        )


def _refuse_taken(names: list[str]) -> None:
    taken = sorted(set(names) & set(schema.CATALOG.names))
    if taken:
        raise CatalogMistake(
            f"the table's columns {shown(taken)} have names that the catalog uses: rename them, "
            "or name their role with --image-column, --label-column, --mask-column or --key-column"
        )


def _stamps(images: list[str], masks: list[str | None]) -> list[str]:
    """Sizes and times of the files of each row: tells a changed picture without reading it."""
    of_images = stamps(images)
    of_masks = iter(stamps([mask for mask in masks if mask is not None]))
    return [
        image if mask is None else f"{image} {next(of_masks)}"
        for image, mask in zip(of_images, masks, strict=True)
    ]


def _size_of(address: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(read_bytes(address))) as picture:
        return picture.size


def _coverage(mask: str, image: str, size: tuple[int, int]) -> float:
    with Image.open(io.BytesIO(read_bytes(mask))) as picture:
        if picture.size != size:
            raise ValueError(mask_size_message(mask, picture.size, image, size))
        return float((np.asarray(picture) != 0).mean())


def mask_size_message(
    mask: str, mask_size: tuple[int, int], image: str, size: tuple[int, int]
) -> str:
    """The one line for a mask that is not as large as its image; sizes are (columns, rows)."""
    return (
        f"mask {mask} is {mask_size[0]}x{mask_size[1]}, "
        f"image {image} is {size[0]}x{size[1]}: export it again or drop the row"
    )
