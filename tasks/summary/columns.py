"""Columns of the user's table by which images are grouped; those that say the same count once."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.compare.image_results import group_column_of
from tasks.runs.reader import Run
from tasks.storage.parquet import read_table

MOST = 50  # values of a column by which images are grouped; the group column may have more


@dataclass(frozen=True)
class GroupingColumns:
    """Which columns make groups."""

    names: tuple[str, ...]
    few: tuple[str, ...]  # of them, those with few values
    group: str | None  # among whose values the worst group is found, by the name shown;
    # None: among labels
    same: Mapping[str, tuple[str, ...]]  # columns left out, by the one that says the same


def find_grouping_columns(run: Run) -> GroupingColumns:
    """The group column first, then columns of few values, but several."""
    columns = run.folder.open_catalog().schema
    group = group_column_of(run)
    ours = {*schema.CATALOG.names, "prediction", "correct"}
    plain = [name for name in columns.names if _is_plain(columns.field(name).type)]
    count = {name: _count_values(run, name) for name in plain if name not in ours}
    chosen = [name for name, values in count.items() if name == group or 1 < values <= MOST]
    words = [name for name in chosen if count[name] <= MOST and _has_words(run, name)]
    preferred = sorted(chosen, key=lambda name: (name not in words, name != group))
    alike = _find_alike(run, ["label", *preferred], group)
    shown = {name: first for first, *others in alike for name in (first, *others)}
    group = shown.get(group, group) if group is not None else None
    names = sorted((name for name in chosen if shown[name] == name), key=lambda name: name != group)
    few = tuple(name for name in names if count[name] <= MOST)
    same = {first: tuple(others) for first, *others in alike if others}
    return GroupingColumns(tuple(names), few, group, same)


def _find_alike(run: Run, names: Iterable[str], group: str | None) -> list[list[str]]:
    """Columns that divide the images alike, together; groups that are labels stay by themselves."""
    alike: dict[bytes, list[str]] = defaultdict(list)
    for name in names:
        alike[_division(read_table(run.folder.catalog, [name])[name])].append(name)
    by_label = next(names for names in alike.values() if "label" in names)
    if group is None or group not in by_label:
        return [*alike.values()]
    by_label.remove(group)
    return [*alike.values(), [group]]


def _division(column: pa.ChunkedArray) -> bytes:
    """Which rows have the same value: equal for columns whose values are in bijection."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numbers = column.combine_chunks().dictionary_encode().indices  # in order of first occurrence
    number_N = pc.fill_null(numbers, -1).to_numpy(zero_copy_only=False)
    return hashlib.blake2b(number_N.astype("<i4").tobytes()).digest()


def _is_plain(kind: pa.DataType) -> bool:
    """Text, numbers and booleans; in many tables numbers with gaps are floats, and categories
    dictionaries."""
    types = pa.types
    return bool(
        _is_text(kind)
        or types.is_dictionary(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _count_values(run: Run, column: str) -> int:
    count: int = pc.count_distinct(read_table(run.folder.catalog, [column])[column]).as_py()
    return count


def _has_words(run: Run, column: str) -> bool:
    """Whether any value is not a number: words say more to a reader."""
    values = pc.unique(read_table(run.folder.catalog, [column])[column]).drop_null().to_pylist()
    return not all(re.fullmatch(r"[-+\d.eE]+", str(value)) for value in values)


def shorten_groups(groups: Sequence[schema.GroupSummary]) -> tuple[schema.GroupSummary, ...]:
    """Of a group column with very many values, those whose accuracy is surely lowest."""
    if len(groups) <= MOST:
        return tuple(groups)
    return tuple(sorted(groups, key=_highest_accuracy)[:MOST])


def _highest_accuracy(group: schema.GroupSummary) -> float:
    return 1.0 if group.accuracy.high is None else group.accuracy.high
