"""Matches the labels of the data to the model's classes by name, file or index, not by order."""

from __future__ import annotations

import pyarrow as pa

from models.errors import MappingFileError, UserError, list_names, suggest
from tasks.catalog.mapping_file import read_mapping
from tasks.catalog.settings import BY_INDEX, BY_NAME


def match_labels(labels: pa.Array, classes: tuple[str, ...], rule: str) -> pa.Array:
    """Each label as the name of one of the model's classes, null where there is none.

    `rule` is "name", "index" or the address of a file that maps labels to classes. Integers in a
    table are indices, unless the model has classes of these names.
    """
    if labels.null_count == len(labels):
        return pa.nulls(len(labels), pa.string())
    coded = labels.dictionary_encode()
    values = coded.dictionary.to_pylist()
    names = [str(value) for value in values]
    if _are_indices(coded.dictionary, classes, rule):
        matched = [_class_by_index(value, classes) for value in values]
    elif rule == BY_NAME:
        matched = _match_names(names, classes)
    else:
        matched = _map_by_file(names, classes, rule)
    return pa.array(matched, pa.string()).take(coded.indices)


def match_categories(categories: pa.Array, classes: tuple[str, ...], rule: str) -> pa.Array:
    """Each category of an annotation as a class name, null where the model has no such class.

    Matched as labels are, but a dataset may annotate more categories than the model knows.
    """
    if categories.null_count == len(categories):
        return pa.nulls(len(categories), pa.string())
    coded = categories.dictionary_encode()
    values = coded.dictionary.to_pylist()
    if pa.types.is_integer(categories.type) and _are_indices(coded.dictionary, classes, rule):
        matched = [classes[value] if 0 <= value < len(classes) else None for value in values]
    else:
        table = {} if rule in (BY_NAME, BY_INDEX) else _read_labels_file(rule)
        known = frozenset(classes)
        matched = [_match_category(str(value), table, known, classes, rule) for value in values]
    if not any(matched):
        names = [str(value) for value in values]
        raise UserError(
            f"none of the annotations' categories {list_names(names)} is one of the model's "
            f"classes {list_names(classes)}{suggest(names[0], classes)}: map them with --labels "
            "FILE (category,class)"
        )
    return pa.array(matched, pa.string()).take(coded.indices)


def _are_indices(labels: pa.Array, classes: tuple[str, ...], rule: str) -> bool:
    if rule == BY_INDEX:
        return True
    names = {str(value) for value in labels.to_pylist()}
    return rule == BY_NAME and pa.types.is_integer(labels.type) and not names & set(classes)


def _match_category(
    name: str,
    table: dict[str, str],
    known: frozenset[str],
    classes: tuple[str, ...],
    rule: str,
) -> str | None:
    if name in table:
        return _class_by_name(table[name], known, classes, rule)
    return name if name in known else None


def _match_names(labels: list[str], classes: tuple[str, ...]) -> list[str]:
    unknown = sorted(set(labels) - set(classes))
    if unknown and classes == tuple(str(index) for index in range(len(classes))):
        raise UserError(
            f"the data has the labels {list_names(sorted(labels))}, but the model's "
            f"{len(classes)} classes have no names: give --classes FILE, one name per line in the "
            "order of the logits"
        )
    if unknown:
        raise UserError(
            f"the data's labels are not the model's classes: {list_names(unknown)} unknown; "
            f"the data has {list_names(sorted(labels))}; the model has {list_names(classes)}: "
            "map them with --labels FILE (label,class), or, if the labels are the model's "
            "indices, with --labels index"
        )
    return labels


def _class_by_index(value: object, classes: tuple[str, ...]) -> str:
    try:
        index = int(str(value))
    except ValueError:
        index = -1
    if not 0 <= index < len(classes):
        raise UserError(
            f"label {value!r} is not an index of the model's {len(classes)} classes "
            f"(0 to {len(classes) - 1}): map labels with --labels FILE (label,class)"
        )
    return classes[index]


def _map_by_file(labels: list[str], classes: tuple[str, ...], path: str) -> list[str]:
    table = _read_labels_file(path)
    missing = sorted(set(labels) - table.keys())
    if missing:
        raise UserError(
            f"labels file {path} does not map {list_names(missing)}: add a line for each"
        )
    known = frozenset(classes)
    return [_class_by_name(table[value], known, classes, path) for value in labels]


def _read_labels_file(path: str) -> dict[str, str]:
    """The class that a file names for each label, in its first column."""
    try:
        mapping = read_mapping(path)
    except FileNotFoundError as error:
        raise UserError(
            f"labels file {path} not found: give 'name', 'index', or a JSON object or CSV "
            "that maps labels to the model's classes"
        ) from error
    except MappingFileError as error:
        raise UserError(
            f"labels file {path} is not a mapping ({error}): write lines label,class or JSON"
        ) from error
    unmapped = [label for label, cells in mapping.items() if not cells]
    if unmapped:
        raise UserError(
            f"labels file {path} has no class for {list_names(unmapped)}: write lines label,class"
        )
    return {label: str(cells[0]) for label, cells in mapping.items()}


def _class_by_name(name: str, known: frozenset[str], classes: tuple[str, ...], path: str) -> str:
    """`known` are the classes as a set: a search in thousands, for thousands, takes minutes."""
    if name in known:
        return name
    if name.isdigit():
        return _class_by_index(name, classes)
    raise UserError(
        f"labels file {path} maps to {name!r}, which the model does not have; "
        f"it has {list_names(classes)}"
    )
