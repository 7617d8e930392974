"""Matching the data's labels to the model's classes: by name, file or index; never by order."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from models.mistakes import Mistake, shown

BY_NAME, BY_INDEX = "name", "index"


class LabelMistake(Mistake):
    """Labels that do not say which of the model's classes they mean."""


def match_labels(labels: pa.Array, classes: tuple[str, ...], rule: str) -> pa.Array:
    """Each label as one of the model's class names, null where there is none.

    `rule` is "name", "index" or the address of a file that maps labels to classes. Integers of a
    table are indices, unless the model has classes of these names.
    """
    if labels.null_count == len(labels):
        return pa.nulls(len(labels), pa.string())
    given = [value for value in pc.unique(labels).to_pylist() if value is not None]
    names = [str(value) for value in given]
    integers = pa.types.is_integer(labels.type)
    if rule == BY_INDEX or (rule == BY_NAME and integers and not set(names) & set(classes)):
        meaning = {value: _class_at(value, classes) for value in given}
    elif rule == BY_NAME:
        meaning = _by_name(names, classes)
        labels = labels.cast(pa.string())
    else:
        meaning = _by_file(names, classes, Path(rule))
        labels = labels.cast(pa.string())
    return pa.array(
        [None if value is None else meaning[value] for value in labels.to_pylist()], pa.string()
    )


def _by_name(given: list[str], classes: tuple[str, ...]) -> dict[object, str]:
    unknown = sorted(set(given) - set(classes))
    if unknown:
        raise LabelMistake(
            f"the data's labels are not the model's classes: {shown(unknown)} unknown; "
            f"the data has {shown(sorted(given))}; the model has {shown(classes)}: "
            "map them with --labels FILE (label,class), or, if the labels are the model's "
            "indices, with --labels index"
        )
    return {name: name for name in given}


def _class_at(value: object, classes: tuple[str, ...]) -> str:
    try:
        index = int(str(value))
    except ValueError:
        index = -1
    if not 0 <= index < len(classes):
        raise LabelMistake(
            f"label {value!r} is no index of the model's {len(classes)} classes "
            f"(0 to {len(classes) - 1}): map labels with --labels FILE (label,class)"
        )
    return classes[index]


def _by_file(given: list[str], classes: tuple[str, ...], path: Path) -> dict[object, str]:
    table = _read_mapping(path)
    missing = sorted(set(given) - table.keys())
    if missing:
        raise LabelMistake(f"labels file {path} does not map {shown(missing)}: add a line for each")
    return {value: _class_named(table[value], classes, path) for value in given}


def _read_mapping(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise LabelMistake(
            f"labels file {path} not found: give 'name', 'index', or a JSON object or CSV "
            "that maps labels to the model's classes"
        )
    try:
        if path.suffix == ".json":
            return {str(label): str(name) for label, name in json.loads(path.read_text()).items()}
        with path.open(newline="") as file:
            return {row[0]: row[1] for row in csv.reader(file) if row}
    except (ValueError, AttributeError, IndexError) as error:
        raise LabelMistake(
            f"labels file {path} is not a mapping ({error}): write lines label,class or JSON"
        ) from error


def _class_named(name: str, classes: tuple[str, ...], path: Path) -> str:
    if name in classes:
        return name
    if name.isdigit():
        return _class_at(name, classes)
    raise LabelMistake(
        f"labels file {path} maps to {name!r}, which the model does not have; "
        f"it has {shown(classes)}"
    )
