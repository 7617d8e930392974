"""Boxes in a table's columns: four numbers, lists of them, or Hugging Face's `objects`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from upath import UPath

from models.errors import UserError, list_names, suggest
from tasks.catalog.instances import Instance, instances_of
from tasks.catalog.listing import Columns
from tasks.catalog.settings import BoxFormat

OBJECTS = "objects"  # Hugging Face: {bbox: [[x, y, width, height], …], category: […]}
CATEGORIES = ("category", "categories", "label", "labels")
BATCH = 8192  # rows turned into Python values at a time

LONGEST_SHOWN = 80  # characters of a refused value

Box = list[float]


def boxes_of(table: pa.Table, columns: Columns, path: UPath) -> pa.Array | None:
    """Each row's boxes as instances; None for a table without boxes."""
    if columns.boxes:
        return _boxes_from_columns(table, columns, path)
    if OBJECTS in table.column_names and _has_boxes(table[OBJECTS].type):
        return _boxes_from_objects(table, columns.box_format, path)
    return None


def _boxes_from_columns(table: pa.Table, columns: Columns, path: UPath) -> pa.Array:
    missing = [name for name in columns.boxes if name not in table.column_names]
    if missing:
        raise UserError(
            f"table {path} has no box column {missing[0]!r}"
            f"{suggest(missing[0], table.column_names)}; it has {list_names(table.column_names)}"
        )
    if len(columns.boxes) == 1:
        (name,) = columns.boxes
        rows = (_parse_boxes(value, name, path) for value in _values_of(table, name))
    else:
        for name in columns.boxes:
            _refuse_texts(table[name], name, path)
        numbers = (_values_of(table, name) for name in columns.boxes)
        rows = ([list(row)] for row in zip(*numbers, strict=True))
    return instances_of(
        [Instance(None, box_region(box, columns.box_format)) for box in boxes if _is_complete(box)]
        for boxes in rows
    )


def box_region(box: Box, box_format: BoxFormat) -> dict[str, Any]:
    """A box as a region of the catalog: x, y, width, height."""
    x, y, *size = box
    if box_format == "xyxy":
        size = [size[0] - x, size[1] - y]
    return {"box": [x, y, *size]}


def _values_of(table: pa.Table, name: str) -> Iterator[Any]:
    for batch in table.select([name]).to_batches(max_chunksize=BATCH):
        yield from batch.column(0).to_pylist()


def _refuse_texts(column: pa.ChunkedArray, name: str, path: UPath) -> None:
    kind = column.type
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    empty = (pa.types.is_null(kind) or pa.types.is_string(kind)) and _first_value(column) is None
    if not numbers and not empty:
        raise UserError(
            f"table {path} has {kind} in box column {name!r}, such as {_first_value(column)!r}: "
            "numbers of pixels are needed"
        )


def _first_value(column: pa.ChunkedArray) -> Any:
    return next((value for value in column.to_pylist() if value), None)


def _parse_boxes(value: Any, name: str, path: UPath) -> list[Box]:
    """One box or a list of boxes, as a list or as text."""
    parsed = _parse_box_text(value) if isinstance(value, str) else value
    if not parsed:
        return []
    boxes = parsed if isinstance(parsed, list) and isinstance(parsed[0], list) else [parsed]
    for box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise UserError(
                f"table {path} has {_shorten(value)} in box column {name!r}: four numbers "
                "or a list of them are needed"
            )
    return boxes


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _parse_box_text(text: str) -> Any:
    """`[1, 2, 3, 4]`, lists of that, `1 2 3 4` or `1,2,3,4`."""
    try:
        return json.loads(text if text.startswith("[") else f"[{re.sub('[ ,;]+', ',', text)}]")
    except (ValueError, RecursionError):
        return text


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _is_complete(box: list[Any]) -> bool:
    return not any(value in (None, "") or math.isnan(value) for value in box)


def _has_boxes(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    return bool(pa.types.is_struct(inner) and inner.get_field_index("bbox") >= 0)


def _boxes_from_objects(table: pa.Table, box_format: BoxFormat, path: UPath) -> pa.Array:
    values = _values_of(table, OBJECTS)
    return instances_of(_parse_objects(value, box_format, path) for value in values)


def _parse_objects(value: Any, box_format: BoxFormat, path: UPath) -> list[Instance]:
    """The boxes of {bbox: [box, …], category: […]} or of [{bbox: box, category: …}, …]."""
    if not value:
        return []
    if isinstance(value, dict):
        bbox = value["bbox"] or []
        boxes = bbox if isinstance(bbox, list) else [bbox]
        categories = _category(value) or [None] * len(boxes)
    else:
        boxes = [each["bbox"] for each in value]
        categories = [_category(each) for each in value]
    if not isinstance(categories, list) or len(categories) != len(boxes):
        raise UserError(
            f"table {path} has {len(boxes)} boxes for the categories {_shorten(categories)} in "
            f"{OBJECTS!r}: give a category for each box, or none at all"
        )
    return [
        Instance(category, box_region(box, box_format))
        for category, each in zip(categories, boxes, strict=True)
        for box in _parse_boxes([each] if each else None, OBJECTS, path)
        if _is_complete(box)
    ]


def _category(value: dict[str, Any]) -> Any:
    return next((value[name] for name in CATEGORIES if value.get(name) is not None), None)
