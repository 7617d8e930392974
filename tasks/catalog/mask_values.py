"""Which values of a mask are foreground: all but zero, a list, or a list for each label."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import MappingFileError, UserError, list_names, printable, suggest
from tasks.catalog.mapping_file import read_mapping

NONZERO = "nonzero"
BY_VOC = "voc"
VOC_NAMES = (  # in the order of their values in SegmentationClass, from 1; 255 is void
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
HIGHEST = 0xFFFFFF  # of a colour, 0xRRGGBB

Values = dict[str, list[int]]


def foreground_values(
    rule: str, data_labels: pa.Array, labels: pa.Array, masks: pa.Array
) -> pa.Array:
    """The catalog's mask_values: the foreground values of each row's masks, null for all but zero.

    A label is looked up by the data's name, then by the model's; a row without one takes the
    values of all labels.
    """
    if rule == NONZERO or masks.null_count == len(masks):
        return pa.nulls(len(masks), pa.list_(pa.int32()))
    values = _parse_list(rule)
    if values is not None:
        same = pa.array([0] * len(masks), pa.int32())
        return _take_values(masks, pa.array([values], pa.list_(pa.int32())), same)
    table = _voc_values() if rule == BY_VOC else _read_values_file(rule)
    coded = data_labels.dictionary_encode()
    names = _model_names(data_labels, labels, masks)
    _refuse_missing(names, table, rule)
    everything = sorted({value for values in table.values() for value in values})
    of_name = [
        everything if name not in names else _look_up(name, names[name], table) or everything
        for name in [*coded.dictionary.to_pylist(), None]
    ]
    indices = coded.indices.fill_null(len(of_name) - 1)
    return _take_values(masks, pa.array(of_name, pa.list_(pa.int32())), indices)


def _model_names(data_labels: pa.Array, labels: pa.Array, masks: pa.Array) -> dict[Any, str | None]:
    """The model's name of each of the data's labels that has masks."""
    rows = pa.table({"name": data_labels, "label": labels}).filter(masks.is_valid())
    pairs = rows.group_by(["name", "label"]).aggregate([]).to_pylist()
    return {each["name"]: each["label"] for each in pairs if each["name"] is not None}


def _look_up(name: Any, label: str | None, table: Values) -> list[int] | None:
    return table.get(str(name)) or table.get(label or "")


def _refuse_missing(names: dict[Any, str | None], table: Values, rule: str) -> None:
    missing = [str(name) for name, label in names.items() if _look_up(name, label, table) is None]
    if missing:
        raise UserError(
            f"mask values {rule} do not say what is foreground for {list_names(sorted(missing))}"
            f"{suggest(missing[0], table)}; they have {list_names(table) or 'none'}: add a line "
            "for each (label,value), or give values for all with --mask-values 1,3"
        )


def _parse_list(rule: str) -> list[int] | None:
    """`1,3` or `#ff0000`; None for anything else."""
    values = [_parse_value(text.strip()) for text in rule.split(",")]
    valid = [value for value in values if value is not None]
    return valid if len(valid) == len(values) else None


def _parse_value(text: str) -> int | None:
    """A grey value, an index of the palette, or a colour as #rrggbb."""
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    return int(text) if re.fullmatch("[0-9]{1,8}", text) and int(text) <= HIGHEST else None


def _voc_values() -> Values:
    return {name: [value] for value, name in enumerate(VOC_NAMES, start=1)}


def _read_values_file(path: str) -> Values:
    try:
        return {label: _parse_cells(label, cells) for label, cells in read_mapping(path).items()}
    except FileNotFoundError as error:
        raise UserError(
            f"mask values {path!r} are neither values nor a file: give nonzero, voc, a list "
            "(1,3 or #ff0000), or a JSON object or CSV (label,value)"
        ) from error
    except MappingFileError as error:
        raise UserError(
            f"mask values {path} are not a mapping ({error}): write lines label,value or JSON"
        ) from error


def _parse_cells(label: str, cells: list[Any]) -> list[int]:
    """The values in the columns of a line, or in a JSON value, which may itself be a list."""
    content = cells[0] if len(cells) == 1 else cells
    listed = content if isinstance(content, list) else [content]
    values = [_parse_value(str(each).strip()) for each in listed]
    if not values or None in values:
        found = printable(", ".join(map(str, listed)), 80) or "nothing"
        raise MappingFileError(
            f"{printable(label, 80)} has {found}, not values from 0 to {HIGHEST} or #rrggbb"
        )
    return [value for value in values if value is not None]


def _take_values(masks: pa.Array, values: pa.Array, indices: pa.Array) -> pa.Array:
    """Each row's values, null for a row without masks."""
    return values.take(pc.if_else(masks.is_valid(), indices, None))
