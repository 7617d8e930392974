"""Groups of classes, read from a file that names each class's group or that is a tree of classes.

A tree is nested: groups hold groups or classes, as an object with a key for each, as a list of
classes, or as nodes with a `name` and `children`. It is cut at the level with the most groups that
a reader can take in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from models.addresses import read_text
from models.errors import MappingFileError, UserError, find_position, list_names, suggest
from models.file_kinds import suggest_option
from models.yaml_text import DEEPEST, parse_yaml
from tasks.schema import ClassGroups

MOST_GROUPS = 30  # that a tree is cut into, where a level has so few
HEADER = "class"  # first cell of a CSV's header
FORMS = (
    "give lines class,group (.csv), an object of the group by class, or a tree of groups that end "
    "in lists of classes (.json, .yaml)"
)

Path = tuple[str, ...]  # the groups above a class, the widest first


def read_class_groups(address: str, classes: Sequence[str]) -> ClassGroups:
    """The group of each class; refuses a file that lacks one, or names one more."""
    paths = _collect(address, read_class_paths(address))
    _check_classes(address, paths, classes)
    level, levels = choose_level(paths.values()), max(map(len, paths.values()))
    names = _group_names(paths, level)
    return ClassGroups(group_of={name: names[name] for name in classes}, level=level, levels=levels)


def check_class_groups(address: str, classes: Sequence[str] | None) -> None:
    """Refuse a file that cannot be read, or, where they are known, does not fit the classes."""
    if classes is None:
        _collect(address, read_class_paths(address))
    else:
        read_class_groups(address, classes)


def read_class_paths(address: str) -> list[tuple[str, Path]]:
    """Each class with the groups above it, in the order of the file."""
    text = read_text(address)
    if text is None:
        raise UserError(f"class groups file {address} not found: {FORMS}")
    try:
        return list(_paths_of(_parse(text, PurePath(address).suffix.lower())))
    except MappingFileError as error:
        raise UserError(f"class groups file {address}: {error}: {FORMS}") from error


def choose_level(paths: Iterable[Path]) -> int:
    """The level with the most groups that are not too many, from 1; else that with the fewest."""
    paths = list(paths)
    counts = {
        level: len({path[:level] for path in paths}) for level in range(1, 1 + max(map(len, paths)))
    }
    several = {level: count for level, count in counts.items() if count > 1} or counts
    few = {level: count for level, count in several.items() if count <= MOST_GROUPS}
    if few:
        return max(few, key=lambda level: (few[level], -level))
    return min(several, key=lambda level: several[level])


def _parse(text: str, suffix: str) -> Any:
    """The content: objects, lists and texts; of lines, an object of the group by class."""
    if suffix == ".json":
        return _parse_json(text)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    return _parse_lines(text)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except MappingFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise MappingFileError(f"it is not JSON{find_position(error)}") from error


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise MappingFileError(f"it names {repeated!r} twice in one place")
    return content


def _parse_yaml(text: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise MappingFileError(f"it is not YAML{find_position(error)}") from error


def _parse_lines(text: str) -> dict[str, str]:
    """Lines class,group, below a header or not."""
    try:
        rows = [row for row in csv.reader(text.splitlines(keepends=True)) if row]
    except csv.Error as error:
        raise MappingFileError("it is not CSV") from error
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        advice = suggest_option(text, "--class-groups") or (
            f"the line of {wrong[0]!r} has {len(wrong)} cells, where a class and its group are "
            "needed (names with commas stand in quotes)"
        )
        raise MappingFileError(advice)
    if rows and rows[0][0].strip().lower() == HEADER:
        del rows[0]
    return _refuse_repeated_keys([(name.strip(), group.strip()) for name, group in rows])


def _paths_of(content: Any) -> Iterator[tuple[str, Path]]:
    """Of the whole file: the group by class, or a tree."""
    if isinstance(content, dict) and content and all(map(_is_name, content.values())):
        yield from ((str(name), (str(group),)) for name, group in content.items())
        return
    found = list(_walk(content, ()))
    if not found:
        raise MappingFileError("it names no class")
    for name, path in found:
        if not path:
            raise MappingFileError(f"{name!r} stands in no group")
    yield from found


def _walk(content: Any, above: Path) -> Iterator[tuple[str, Path]]:
    """The classes of a part of a tree, below these groups."""
    if len(above) > DEEPEST:
        raise MappingFileError(f"it is nested deeper than {DEEPEST} levels")
    if isinstance(content, list):
        for item in content:
            yield from _walk_item(item, above)
    elif _is_node(content):
        yield from _walk_item(content, above)
    elif isinstance(content, dict):
        for name, inner in content.items():
            yield from _walk_named(str(name), inner, above)
    else:
        raise MappingFileError(
            f"{_place(above)} holds {content!r}, where a list or an object is needed"
        )


def _walk_item(item: Any, above: Path) -> Iterator[tuple[str, Path]]:
    """An element of a list: a class, or a node with children."""
    if _is_name(item):
        yield str(item), above
    elif _is_node(item):
        yield from _walk_named(str(item["name"]), item.get("children"), above)
    else:
        yield from _walk(item, above)


def _walk_named(name: str, inner: Any, above: Path) -> Iterator[tuple[str, Path]]:
    """A group with what it holds, or a class, which holds nothing."""
    if inner is None or inner in ({}, []):
        yield name, above
    else:
        yield from _walk(inner, (*above, name))


def _is_node(item: Any) -> bool:
    """`{"name": "bird", "children": [...]}`, or a leaf of such a tree."""
    if not isinstance(item, dict) or not _is_name(item.get("name")):
        return False
    return isinstance(item.get("children", []), list | None)


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _place(above: Path) -> str:
    return f"the group {above[-1]!r}" if above else "it"


def _collect(address: str, found: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """By class; refuses one that stands in two groups."""
    paths: dict[str, Path] = {}
    for name, path in found:
        if paths.setdefault(name, path) != path:
            raise UserError(
                f"class groups file {address}: the class {name!r} stands in "
                f"{' > '.join(paths[name])!r} and in {' > '.join(path)!r}: leave one"
            )
    return paths


def _check_classes(address: str, paths: dict[str, Path], classes: Sequence[str]) -> None:
    known = frozenset(classes)
    unknown = [name for name in paths if name not in known]
    if unknown:
        raise UserError(
            f"class groups file {address} names {list_names(unknown)}, which the model does not "
            f"have{suggest(unknown[0], classes)}; it has {list_names(classes)}: correct or remove "
            f"{'it' if len(unknown) == 1 else 'them'}"
        )
    missing = [name for name in classes if name not in paths]
    if missing:
        raise UserError(
            f"class groups file {address} has no group for {len(missing):,} of the model's "
            f"{len(classes):,} classes: {list_names(missing)}: name one for each"
        )


def _group_names(paths: dict[str, Path], level: int) -> dict[str, str]:
    """By class, its group's own name, or all of its path where two groups share that."""
    cut = {name: path[:level] for name, path in paths.items()}
    groups = set(cut.values())
    own = [path[-1] for path in groups]
    shown = {path: path[-1] if own.count(path[-1]) == 1 else " > ".join(path) for path in groups}
    return {name: shown[path] for name, path in cut.items()}
