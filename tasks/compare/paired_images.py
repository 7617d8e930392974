"""The images of two runs side by side, or of one beside itself; refuses runs that are not a pair.

Shapes: N images, 2 is before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import NotComparable
from tasks import schema
from tasks.compare.image_results import group_column_of, read_images
from tasks.compare.words import Words
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.runs.reader import Run
from tasks.storage.disk_tables import in_blocks, keep_on_disk, keep_sides_on_disk
from tasks.storage.parquet import read_footer

Floats = NDArray[np.float64]

# The parts of a run's identity that must agree. Weights, layer and numeric mode may differ.
IDENTITY_FIELDS = ("catalog", "shard_size", "classes", "target")
FOREGROUND_FIELDS = ("foreground", "polarity", "orientation", "estimator")

KEYS = ("row_id", "content_id")  # a word of every image's own
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
    chosen: pa.ChunkedArray | None = None  # which rows are the images; None: all of them

    def __len__(self) -> int:
        return len(self.after) if self.chosen is None else pc.sum(self.chosen).as_py() or 0

    @property
    def is_part(self) -> bool:
        """Whether the thresholds of the flags were found over more images."""
        return self.chosen is not None

    def values(self, column: str) -> Floats:
        """(N, 2); NaN on both sides where one of the runs has no value."""
        value_N2 = self._latest.get(column)
        if value_N2 is None:
            value_N2 = self._derive(column) if column in DERIVED else self._stored(column)
            value_N2[~np.isfinite(value_N2).all(1)] = np.nan
            self._latest.clear()
            self._latest[column] = value_N2
        return value_N2

    def choose(self, row_ids: pa.Array) -> PairedImages:
        """These images alone; all of them are no part."""
        chosen = pc.is_in(self.after["row_id"], row_ids)
        if self.chosen is not None:
            chosen = pc.and_(chosen, self.chosen)
        return self if pc.all(chosen).as_py() else replace(self, chosen=chosen)

    def count_other_predictions(self) -> int:
        """Images that the two audits predict differently."""
        sides = (self._column(table, "prediction") for table in (self.before, self.after))
        return pc.sum(pc.not_equal(*sides)).as_py() or 0

    @property
    def same_rule(self) -> bool:
        """Thresholds may differ: each is what the same share of its model's null exceeds."""
        before, after = (rule.describe() for rule in self.rules)
        return before == after

    @cached_property
    def labels(self) -> Words:
        return Words.of(self._column(self.after, "label"))

    @cached_property
    def groups(self) -> Words:
        """Values of the group column, else groups of the labels, else labels."""
        if self.group_column is not None:
            return Words.of(self._column(self.after, "group"))
        return self.labels if self.class_groups is None else self.groups_of_labels

    @cached_property
    def groups_of_labels(self) -> Words:
        groups = {} if self.class_groups is None else self.class_groups.group_of
        return self.labels.renamed(groups)

    @property
    def kind_of_groups(self) -> str:
        """What `groups` are, in words."""
        if self.group_column is not None:
            return f"values of the column {self.group_column}"
        return "labels" if self.class_groups is None else "groups of classes"

    @cached_property
    def _latest(self) -> dict[str, Floats]:
        """Of the column that was asked for last: all of them would be most of the memory."""
        return {}

    def _column(self, side: pa.Table, name: str) -> pa.ChunkedArray:
        return side[name] if self.chosen is None else side[name].filter(self.chosen)

    def _stored(self, column: str) -> Floats:
        value_N2 = np.full((len(self), 2), np.nan)
        for side, table in enumerate((self.before, self.after)):
            if column in table.column_names:
                start = 0
                for chunk in self._column(table, column).chunks:
                    value_n = pc.fill_null(chunk.cast(pa.float64()), np.nan)
                    value_N2[start : start + len(chunk), side] = value_n
                    start += len(chunk)
        return value_N2

    def _has_flag(self, flag: str) -> NDArray[np.bool_]:
        """(N, 2)"""
        columns = (self._column(table, "flag") for table in (self.before, self.after))
        sides = (pc.fill_null(pc.equal(column, flag), False) for column in columns)
        return np.stack([side.to_numpy() for side in sides], 1)

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
    return pair_images(read_alone(before), read_alone(after))


def read_alone(run: Run) -> PairedImages:
    """The results of one run, as a pair with itself."""
    columns = ("content_id", *_columns_of_figures(run.state.methods))
    table, rule = _read_results(run, columns), run.summary().rule
    rows = read_footer(run.folder.catalog).num_rows
    groups = group_column_of(run), run.state.class_groups
    return PairedImages(table, table, (rule, rule), rows, *groups)


def pair_images(before: PairedImages, after: PairedImages) -> PairedImages:
    """Two runs, each read alone, for images of the same bytes that both predicted."""
    sides = before.after, after.after
    if not all(sides[0][name].equals(sides[1][name]) for name in ("row_id", "content_id")):
        sides = keep_sides_on_disk(keep_same_bytes(*both) for both in _match_tables(*sides))
    rules = before.rules[1], after.rules[1]
    return replace(after, before=sides[0], after=sides[1], rules=rules)


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
    return _match_tables(*(_read_results(run, columns) for run in (before, after)))


def _read_results(run: Run, columns: Sequence[str]) -> pa.Table:
    return keep_on_disk(map(_encode_words, in_blocks(read_images(run, columns))))


def _encode_words(block: pa.Table) -> pa.Table:
    """Words that few images have alone, as numbers."""
    for index, field in enumerate(block.schema):
        if pa.types.is_string(field.type) and field.name not in KEYS:
            block = block.set_column(index, field.name, block[field.name].dictionary_encode())
    return block


def _match_tables(before: pa.Table, after: pa.Table) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Block by block, the rows with the same key; where both saw the same images, no copies."""
    index = None
    if not before["row_id"].equals(after["row_id"]):
        index = pc.index_in(after["row_id"], before["row_id"].combine_chunks())
    start = 0
    blocks = [pa.Table.from_batches([batch]) for batch in after.to_batches()]
    for block in blocks or [after]:  # at least one, be it of no image
        if index is None:
            yield before.slice(start, len(block)), block
        else:
            found = index.slice(start, len(block)).combine_chunks()
            matched = found.is_valid()
            yield _take(before, found.filter(matched)), block.filter(matched)
        start += len(block)


def _take(table: pa.Table, index: pa.Array) -> pa.Table:
    """Rows by number, quickly: from one chunk of those between the first and the last of them."""
    if len(index) == 0:
        return table.slice(0, 0)
    ends = pc.min_max(index).as_py()
    near = table.slice(ends["min"], ends["max"] - ends["min"] + 1)
    near = near.unify_dictionaries().combine_chunks()
    return near.take(pc.subtract(index, ends["min"]))


def _columns_of_figures(methods: Sequence[str]) -> list[str]:
    """Every column that a figure is computed from."""
    columns = dict.fromkeys(COLUMNS)
    for figure in schema.figures_of_images().values():
        if figure.by_method:
            columns |= dict.fromkeys(f"{figure.column}:{method}" for method in methods)
        elif figure.column is not None and figure.column not in DERIVED:
            columns[figure.column] = None
    return list(columns)


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
    """Of images in the same order on both sides."""
    same = pc.equal(before["content_id"], after["content_id"])
    if pc.all(same).as_py():
        return before, after
    return before.filter(same), after.filter(same)
