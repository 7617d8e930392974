"""The images of two runs side by side, or of one beside itself; refuses runs that are not a pair.

Shapes: N images, 2 is before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import NotComparable
from tasks import schema
from tasks.compare.image_results import group_column_of, read_images
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.runs.reader import Run
from tasks.storage.parquet import read_footer

Floats = NDArray[np.float64]

# The parts of a run's identity that must agree. Weights, layer and numeric mode may differ.
IDENTITY_FIELDS = ("catalog", "shard_size", "classes", "target")
FOREGROUND_FIELDS = ("foreground", "polarity", "orientation", "estimator")

BLOCK = 1 << 16  # rows matched at once: each match costs a pass over the earlier keys
COLUMNS = (
    *("row_id", "label", "prediction", "confidence", "correct", "group"),
    *("flag", "score", "null_score", "flips", "kept_label"),
)
DERIVED = frozenset({"flagged", "excess", "exchange_gap"})  # from other columns, in _derive


@dataclass(frozen=True)
class PairedImages:
    """One row per image in both tables, in the same order; of a single run both are one table."""

    before: pa.Table
    after: pa.Table
    rules: tuple[schema.FlagRule, schema.FlagRule]
    rows: int  # of the catalog
    group_column: str | None  # that names each image's group; None without one
    class_groups: schema.ClassGroups | None = None  # of the labels
    is_part: bool = False  # of the images that the thresholds of the flags were found over

    def __len__(self) -> int:
        return len(self.after)

    def values(self, column: str) -> Floats:
        """(N, 2); NaN on both sides where one of the runs has no value."""
        if column not in self._values:
            value_N2 = self._derive(column) if column in DERIVED else self._stored(column)
            known_N1 = np.isfinite(value_N2).all(1, keepdims=True)
            self._values[column] = np.where(known_N1, value_N2, np.nan)
        return self._values[column]

    def words(self, column: str) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        before, after = (_words_of(table[column]) for table in (self.before, self.after))
        return before, after

    def choose(self, row_ids: pa.Array) -> PairedImages:
        """These images alone; all of them are no part."""
        chosen = pc.is_in(self.after["row_id"], row_ids)
        if pc.all(chosen).as_py():
            return self
        sides = (self.before.filter(chosen), self.after.filter(chosen))
        return replace(self, before=sides[0], after=sides[1], is_part=True)

    @property
    def same_rule(self) -> bool:
        """Thresholds may differ: each is what the same share of its model's null exceeds."""
        before, after = (rule.describe() for rule in self.rules)
        return before == after

    @cached_property
    def label_N(self) -> NDArray[np.object_]:
        """None where an image has none."""
        return self.words("label")[1]

    @cached_property
    def group_N(self) -> NDArray[np.object_]:
        """Values of the group column, else groups of the labels, else labels; None where an image
        has none."""
        if self.group_column is not None:
            return self.words("group")[1]
        return self.label_N if self.class_groups is None else self.class_group_N

    @cached_property
    def class_group_N(self) -> NDArray[np.object_]:
        """The group of each label; None where there is none."""
        groups = {} if self.class_groups is None else self.class_groups.group_of
        return np.array([groups.get(label) for label in self.label_N], object)

    @property
    def kind_of_groups(self) -> str:
        """What `group_N` holds, in words."""
        if self.group_column is not None:
            return f"values of the column {self.group_column}"
        return "labels" if self.class_groups is None else "groups of classes"

    @cached_property
    def _values(self) -> dict[str, Floats]:
        return {}

    def _stored(self, column: str) -> Floats:
        if column not in self.after.column_names:
            return np.full((len(self), 2), np.nan)
        sides = (table[column].cast(pa.float64()) for table in (self.before, self.after))
        return np.stack([pc.fill_null(side, np.nan).to_numpy() for side in sides], 1)

    def _has_flag(self, flag: str) -> NDArray[np.bool_]:
        """(N, 2)"""
        sides = (pc.equal(table["flag"], flag) for table in (self.before, self.after))
        return np.stack([pc.fill_null(side, False).to_numpy() for side in sides], 1)

    def _derive(self, column: str) -> Floats:
        if column == "exchange_gap":
            return self.values("correct") - self.values("kept_label")
        if column == "flagged":
            known_N2 = ~self._has_flag("undecided") & self.same_rule
            return np.where(known_N2, self._has_flag("rests_on_background"), np.nan)
        thresholds = np.array([rule.threshold for rule in self.rules], float)
        by_null_N2 = self._stored("null_score") > thresholds
        excess_N2: Floats = self.values("flagged") - by_null_N2  # 1, 0, -1
        return excess_N2


def read_pair(before: Run, after: Run) -> PairedImages:
    """The results of both runs, for images of the same bytes that both predicted."""
    check_pair(before, after)
    return match_runs(before, after)


def match_runs(before: Run, after: Run) -> PairedImages:
    """The same without the check, for callers that compare runs with other donors on purpose."""
    columns = ["content_id", *_columns_of_figures(shared_methods(before, after))]
    blocks = [keep_same_bytes(*sides) for sides in match_images(before, after, columns)]
    first, last = (
        _concatenate(side.drop_columns("content_id") for side in sides)
        for sides in zip(*blocks, strict=True)
    )
    return _make_pair((before, after), (first, last))


def read_alone(run: Run) -> PairedImages:
    """The results of one run, as a pair with itself."""
    table = _concatenate(read_images(run, _columns_of_figures(shared_methods(run, run))))
    return _make_pair((run, run), (table, table))


def check_pair(before: Run, after: Run) -> None:
    """Refuse two runs that differ in more than the model, naming the fields and both values."""
    then, now = _comparable_fields(before), _comparable_fields(after)
    differing = [
        f"{name} was {then[name]}, is {now[name]}" for name in now if then[name] != now[name]
    ]
    if differing:
        raise NotComparable(
            f"{before.folder.path} and {after.folder.path} are not a pair "
            f"({'; '.join(differing)}): audit both models on the same data with the same settings, "
            "--donors of one of them"
        )


def shared_methods(before: Run, after: Run) -> list[str]:
    """Attribution methods that both runs have, in the later one's order."""
    first, last = (run.state.methods for run in (before, after))
    return [method for method in last if method in first]


def match_images(
    before: Run, after: Run, columns: Sequence[str]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Rows with the same key in both runs, in the later one's order, block by block."""
    old = _concatenate(read_images(before, columns))
    keys = old["row_id"].combine_chunks()
    for block in _blocks(read_images(after, columns)):
        index = pc.index_in(block["row_id"], keys).combine_chunks()
        if _is_in_order(index):  # as where both saw the same images: nothing is copied
            yield old.slice(index[0].as_py(), len(index)), block
            continue
        old = old.combine_chunks()  # rows of one chunk are taken quickly
        matched = index.is_valid()
        yield old.take(index.filter(matched)), block.filter(matched)


def _is_in_order(index: pa.Array) -> bool:
    """Are these one row after the other?"""
    if len(index) == 0 or index.null_count > 0:
        return False
    return bool((np.diff(index.to_numpy()) == 1).all())


def _columns_of_figures(methods: Sequence[str]) -> list[str]:
    """Every column that a figure is computed from."""
    columns = dict.fromkeys(COLUMNS)
    for figure in schema.figures_of_images().values():
        if figure.by_method:
            columns |= dict.fromkeys(f"{figure.column}:{method}" for method in methods)
        elif figure.column is not None and figure.column not in DERIVED:
            columns[figure.column] = None
    return list(columns)


def _make_pair(runs: tuple[Run, Run], tables: tuple[pa.Table, pa.Table]) -> PairedImages:
    before, after = runs
    rules = (before.summary().rule, after.summary().rule)
    rows = read_footer(after.folder.catalog).num_rows
    return PairedImages(*tables, rules, rows, group_column_of(after), after.state.class_groups)


def _comparable_fields(run: Run) -> dict[str, str]:
    """By field, what has to be the same in both runs."""
    identity = run.state.identity
    fields = identity.as_json(*IDENTITY_FIELDS, *FOREGROUND_FIELDS)
    fields |= {f"preprocessing.{name}": value for name, value in identity.geometry.items()}
    fields["donor pool"] = donor_digest(run.folder)
    if fields["donor pool"] is not None:
        settings = run.state.section("interventions", InterventionSettings)
        fields["donors"] = settings.model_dump(
            include={"others", "same", "moves", "fill", "donor_seed"}
        )
    else:
        fields["donors"] = None
    return {name: _shorten(value) for name, value in fields.items()}


def _shorten(value: object) -> str:
    return value[:12] if isinstance(value, str) else json.dumps(value, sort_keys=True)


def keep_same_bytes(before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table]:
    same = pc.equal(before["content_id"], after["content_id"])
    if pc.all(same).as_py():
        return before, after
    return before.filter(same), after.filter(same)


def _words_of(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Equal words are one object: a million of them would take a hundred megabytes."""
    codes = column.combine_chunks().dictionary_encode()
    words = np.array([*codes.dictionary.to_pylist(), None], object)
    found: NDArray[np.object_] = words[codes.indices.fill_null(len(words) - 1).to_numpy()]
    return found


def _blocks(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer, larger tables."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(map(len, pending)) >= BLOCK:
            yield _concatenate(pending)
            pending = []
    if pending:
        yield _concatenate(pending)


def _concatenate(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default")
