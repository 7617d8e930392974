"""The catalog: one row per image, with its label and masks, checked before work begins."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import REMOTE, as_path
from models.errors import UserError, list_names, printable, suggest
from tasks import schema
from tasks.catalog.allowed_addresses import (
    AllowedAddresses,
    refuse_secrets,
    remove_secrets_from,
)
from tasks.catalog.coco import annotate
from tasks.catalog.formats import list_images
from tasks.catalog.instances import unite_instances
from tasks.catalog.label_columns import label_listing
from tasks.catalog.listing import Columns, Listing
from tasks.catalog.mask_files import BATCH, join_addresses, lists_of, masks_of
from tasks.catalog.mask_values import NONZERO, foreground_values
from tasks.catalog.settings import DataSettings
from tasks.storage.files import MISSING, read_stamps

ROW_NUMBER = "file_row_number"  # of DuckDB, whatever the case: by it the explorer orders the rows

log = logging.getLogger("sightline")

OUTLINED = '"(polygons|counts)":'  # regions that are not just boxes


def make_catalog(
    data: DataSettings, classes: tuple[str, ...], listing: Listing | None = None
) -> pa.Table:
    """The catalog of a dataset; refuses data that cannot be listed or matched."""
    listing = _without_secrets(listing or list_data(data))
    labelled = label_listing(listing, classes, data)
    listing, labels = labelled.listing, labelled.labels
    if data.sample is not None or data.limit is not None:
        rows = _choose_rows(labels, data)
        listing, labels = listing.take(rows), labels.take(rows)
    _refuse_repeated_keys(listing.key)
    _refuse_reserved_columns(listing.extra.column_names)
    if data.group_column is not None:
        check_group_column(listing.extra, data.group_column)
    images = join_addresses(listing.root, listing.image)
    masks = masks_of(listing, data.masks)
    allowed = AllowedAddresses.of(data)
    allowed.check(images, "image")
    allowed.check(pc.list_flatten(masks), "mask")
    rule = data.mask_values or (listing.mask_values if data.masks is None else NONZERO)
    table = pa.table(
        [
            listing.key,
            images,
            labels,
            masks,
            foreground_values(rule, listing.label, labels, masks),
            unite_instances(listing.instances, labels, classes, data.labels),
            _row_stamps(images, masks),
        ],
        schema=schema.CATALOG,
    )
    for name in listing.extra.column_names:
        table = table.append_column(name, listing.extra[name])
    return table


def check_catalog(catalog: pa.Table, data: DataSettings) -> list[str]:
    """Check a sample of the files; returns warnings, refuses when none can be used."""
    from tasks.catalog.check_files import check_files  # decodes, with torch

    missing = catalog["image"].filter(pc.starts_with(catalog["stamp"], MISSING))
    if len(missing) == len(catalog):
        raise UserError(
            f"none of {len(catalog):,} images exists; first: {printable(missing[0].as_py())}: "
            "check the addresses, or name the folder that they are relative to with --images"
        )
    checks = check_files(catalog, data.orientation)
    problems = [check.problem for check in checks if check.problem is not None]
    if len(problems) == len(checks):
        raise UserError(f"none of {len(checks)} checked images can be used; first: {problems[0]}")
    warnings = []
    if len(missing):
        warnings.append(
            f"{len(missing):,} of {len(catalog):,} images do not exist; "
            f"first: {printable(missing[0].as_py())}"
        )
    if problems:
        warnings.append(
            f"{len(problems)} of {len(checks)} checked images will fail; first: {problems[0]}"
        )
    coverage = [check.coverage for check in checks if check.coverage is not None]
    return warnings + _polarity_warnings(coverage, data)


def _polarity_warnings(coverage: list[float], data: DataSettings) -> list[str]:
    """Warns where masks mark so much of the pictures that they may be inverted."""
    covered = float(np.mean(coverage)) if coverage else 0.0
    share = covered if data.polarity == "foreground" else 1 - covered
    if not coverage or share <= 0.5:
        return []
    other = "background" if data.polarity == "foreground" else "foreground"
    values = "" if data.mask_values is None else " or other --mask-values"
    return [
        f"masks mark {share:.0%} of the picture as foreground on average: "
        f"if they are inverted, use --polarity {other}{values}"
    ]


def foreground_source(catalog: pa.Table) -> schema.ForegroundSource:
    """Where the foreground comes from: masks or outlines, boxes alone, or nothing."""
    regions = catalog["regions"]
    outlined = pc.match_substring_regex(regions, OUTLINED)
    if catalog["masks"].null_count < len(catalog) or pc.any(outlined).as_py():
        return "annotated"
    return "box" if regions.null_count < len(catalog) else "none"


def sources_of(catalog: pa.Table) -> pa.Table:
    """row_id and the source of the foreground of each row (column `foreground`)."""
    outlined = pc.fill_null(pc.match_substring_regex(catalog["regions"], OUTLINED), False)
    annotated = pc.or_(catalog["masks"].is_valid(), outlined)
    boxed = pc.if_else(catalog["regions"].is_valid(), "box", "none")
    return pa.table(
        {"row_id": catalog["row_id"], "foreground": pc.if_else(annotated, "annotated", boxed)}
    )


def list_data(data: DataSettings) -> Listing:
    """The images, labels and annotations as the data has them."""
    columns = Columns(
        data.image_column,
        data.label_column,
        data.mask_column,
        data.key_column,
        data.split_column,
        data.box_columns or (),
        data.box_format,
        seek_masks=data.masks is None and data.annotations is None,
    )
    listing = list_images(data.path, columns, data.split, data.images)
    return listing if data.annotations is None else annotate(listing, as_path(data.annotations))


def _without_secrets(listing: Listing) -> Listing:
    """The listing without secrets in the user's further columns; refuses them where a run needs
    the whole text."""
    refuse_secrets(listing.image, "image")
    refuse_secrets(listing.key, "key")
    if pa.types.is_string(listing.label.type):
        refuse_secrets(listing.label, "label")
    extra, changed = remove_secrets_from(listing.extra)
    if changed:
        log.warning(
            "columns %s hold addresses with a password, a token or a query: kept without them",
            list_names(changed),
        )
    return replace(listing, extra=extra)


def _choose_rows(labels: pa.Array, data: DataSettings) -> pa.Array:
    """The row numbers that `sample` (stratified by label) and `limit` keep."""
    rows = np.arange(len(labels))
    if data.sample is not None and data.sample < len(rows):
        generator = np.random.default_rng(data.seed)
        order = generator.permutation(len(rows))
        names = np.asarray(pc.fill_null(labels, "").to_pylist(), dtype=object)[order]
        rank = np.empty(len(rows))
        for name in sorted(set(names)):  # the order of a set differs between processes
            of_label = np.flatnonzero(names == name)
            rank[of_label] = (np.arange(len(of_label)) + generator.random()) / len(of_label)
        rows = np.sort(order[np.argsort(rank, kind="stable")[: data.sample]])
    return pa.array(rows[: data.limit])


def _refuse_repeated_keys(keys: pa.Array) -> None:
    counts = pc.value_counts(keys)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if repeated:
        raise UserError(
            f"{len(repeated)} keys occur more than once ({list_names(repeated, 3)}): "
            "name a column of unique keys with --key-column"
        )


def _refuse_reserved_columns(names: list[str]) -> None:
    reserved = sorted(
        name for name in names if name in schema.CATALOG.names or name.lower() == ROW_NUMBER
    )
    if reserved:
        raise UserError(
            f"the table's columns {list_names(reserved)} have names that the catalog uses: rename "
            "them, or say what they hold with --image-column, --label-column, --mask-column or "
            "--key-column"
        )


def check_group_column(table: pa.Table, column: str) -> None:
    """Refuse a column that the table lacks, or that holds no plain values."""
    names = table.column_names
    advice = "name another with --group-column, or leave it out"
    if column not in names:
        others = f"it has {list_names(names)}" if names else "it has none"
        raise UserError(
            f"the data has no further column {column!r}{suggest(column, names)}, {others}: {advice}"
        )
    kind = table[column].type
    if pa.types.is_nested(kind):
        raise UserError(
            f"the column {column!r} holds {kind}, not one value for each image: {advice}"
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UserError(
            f"the column {column!r} holds {kind}, not text: write it as text, or {advice}"
        )


def _row_stamps(images: pa.Array, masks: pa.Array) -> pa.Array:
    """Sizes and times of the files of each row, which detect changes without reading them."""
    image_stamps = _file_stamps(images)
    if masks.null_count == len(masks):
        return image_stamps
    mask_stamps = _file_stamps(pc.list_flatten(masks))
    lists = lists_of(mask_stamps, pc.fill_null(pc.list_value_length(masks), 0))
    return pc.binary_join_element_wise(
        image_stamps, pc.binary_join(lists, " "), " ", null_handling="skip"
    )


def _file_stamps(addresses: pa.Array) -> pa.Array:
    """Local files batch by batch; remote ones at once, so that each folder is listed once."""
    remote = pc.any(pc.match_substring(addresses, REMOTE)).as_py()
    size = len(addresses) if remote else BATCH
    starts = range(0, len(addresses), max(1, size))
    parts = [
        pa.array(read_stamps(addresses.slice(at, size).to_pylist()), pa.string()) for at in starts
    ]
    return pa.concat_arrays([*parts, pa.array([], pa.string())])
