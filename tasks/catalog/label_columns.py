"""A column that holds the labels under an unusual name: all its values are the model's classes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import UserError, list_names
from tasks.catalog.labels import match_labels
from tasks.catalog.listing import Listing
from tasks.catalog.settings import BY_NAME, DataSettings

PREDICTION_WORDS = ("pred", "output", "guess")  # in a column's name: what a model said is no label

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class LabelledListing:
    """A listing, and the model's class of each image, null where it is unknown."""

    listing: Listing
    labels: pa.Array


def label_listing(
    listing: Listing, classes: tuple[str, ...], data: DataSettings
) -> LabelledListing:
    """Labels as the settings say; by default, where there are none, those of the only column whose
    values are the model's classes."""
    seeks = data.label_column is None and data.labels == BY_NAME
    if seeks and listing.label.null_count == len(listing.label):
        listing = _take_label_column(listing, classes, data.group_column)
    try:
        return LabelledListing(listing, match_labels(listing.label, classes, data.labels))
    except UserError as error:
        columns = _columns_of_classes(listing.extra, classes) if seeks else []
        if not columns:
            raise
        raise UserError(
            f"{error}; the model's classes are in {list_names(columns)}: "
            "name it with --label-column"
        ) from error


def _take_label_column(
    listing: Listing, classes: tuple[str, ...], group_column: str | None
) -> Listing:
    """The listing with its label column, which stays where it also names the groups."""
    columns = _columns_of_classes(listing.extra, classes)
    labels = [name for name in columns if not any(it in name.lower() for it in PREDICTION_WORDS)]
    if len(labels) == 1:
        (name,) = labels
        log.info("column %r holds the model's classes: taken as the labels", name)
        column = listing.extra[name].combine_chunks().cast(pa.string())
        texts = pc.if_else(pc.equal(column, ""), None, column)
        extra = listing.extra if name == group_column else listing.extra.drop_columns([name])
        return replace(listing, label=texts, extra=extra)
    if columns:
        log.warning(
            "the model's classes are in %s, which were not taken as labels: "
            "if a column holds the labels, name it with --label-column",
            list_names(columns),
        )
    return listing


def _columns_of_classes(table: pa.Table, classes: tuple[str, ...]) -> list[str]:
    """Columns with all classes and nothing else; if there is none, those with several of them."""
    known = frozenset(classes)
    if all(name.isdigit() for name in known):  # any column of numbers would do
        return []
    values = {name: _values_of(table[name]) for name in table.column_names}
    whole = [name for name, found in values.items() if found == known]
    return whole or [name for name, found in values.items() if len(found) > 1 and found < known]


def _values_of(column: pa.ChunkedArray) -> frozenset[str]:
    """The texts in a column but for empty ones; none for a column of another type."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return frozenset()
    return frozenset(pc.unique(column).to_pylist()) - {"", None}
