"""The results of each image, of one run or of two side by side; refuses runs that are not a pair.

Shapes: N images, B images and E exchanges of a shard, 2 is before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import NotComparable
from tasks import schema
from tasks.flags.estimate_quality import least_confidence_of
from tasks.interventions.donors import donor_digest
from tasks.interventions.intervene import LARGEST, SMALLEST
from tasks.interventions.settings import InterventionSettings
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS, SCORES
from tasks.storage.parquet import read_footer

Floats = NDArray[np.float64]

# The parts of a run's identity that must agree. Weights, layer and numeric mode may differ.
IDENTITY_FIELDS = ("catalog", "shard_size", "classes", "target")
FOREGROUND_FIELDS = ("foreground", "polarity", "orientation", "estimator")

BLOCK = 1 << 16  # rows matched at once: each match costs a pass over the earlier keys
COLUMNS = (
    *("row_id", "content_id", "label", "prediction", "confidence", "correct", "group"),
    *("flag", "score", "null_score", "flips", "kept_label"),
)
KEYS = ("row_id", "label")
DERIVED = frozenset({"flagged", "excess", "exchange_gap"})  # from other columns, in _derive
OF_EXCHANGES = frozenset({"kept_label", *schema.INTERVENTIONS.names[1:]})


@dataclass(frozen=True)
class PairedImages:
    """One row per image in both tables, in the same order; of a single run both are one table."""

    before: pa.Table
    after: pa.Table
    rules: tuple[schema.FlagRule, schema.FlagRule]
    rows: int  # of the catalog
    group_column: str | None  # that names each image's group; None without one
    class_groups: schema.ClassGroups | None = None  # of the labels

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
        before, after = (
            np.array(table[column].to_pylist(), object) for table in (self.before, self.after)
        )
        return before, after

    @property
    def same_rule(self) -> bool:
        """Thresholds may differ: each is what the same share of its model's null exceeds."""
        before, after = self.rules
        return (before.method, before.false_alarm) == (after.method, after.false_alarm)

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

    def _derive(self, column: str) -> Floats:
        if column == "exchange_gap":
            return self.values("correct") - self.values("kept_label")
        if column == "flagged":
            flag_N2 = np.stack(self.words("flag"), 1)
            known_N2 = (flag_N2 != "undecided") & self.same_rule
            return np.where(known_N2, flag_N2 == "rests_on_background", np.nan)
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
    columns = _columns_of_figures(shared_methods(before, after))
    blocks = [_keep_same_bytes(*sides) for sides in match_images(before, after, columns)]
    first, last = (_concatenate(tables) for tables in zip(*blocks, strict=True))
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
    old = _concatenate(read_images(before, columns)).combine_chunks()
    keys = old["row_id"].combine_chunks()
    for block in _blocks(read_images(after, columns)):
        index = pc.index_in(block["row_id"], keys).combine_chunks()
        matched = index.is_valid()
        yield old.take(index.filter(matched)), block.filter(matched)


def read_images(run: Run, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The columns of each image with a prediction: one table per shard, empty where there is none.

    Columns are those of the predictions, the flags and the interventions, `kept_label`, `group`
    (the catalog's group column), and `column:method` of a method's scores. Dictionaries are
    decoded: those of two runs differ.
    """
    flags = run.folder.open_flags()  # one row group per shard with predictions
    predicted = [name for name in schema.PREDICTIONS.names if name in {*KEYS, *columns}]
    flagged = [name for name in columns if _is_flag_column(name)]
    exchanged = [name for name in columns if name in OF_EXCHANGES]
    scored = [name for name in columns if ":" in name]
    least = least_confidence_of(run) if exchanged else 0.0
    group = 0
    for shard in run.shards:
        table = run.part(PREDICTIONS, shard, predicted)
        if table is None:
            table = schema.PREDICTIONS.empty_table()
            shard_flags = schema.FLAGS_TABLE.empty_table()
        else:
            shard_flags = flags.read_row_group(group, columns=flagged)
            group += 1
        for name in flagged:
            table = table.append_column(name, shard_flags[name])
        if "group" in columns:
            table = _add_group(table, run, shard)
        if exchanged:
            exchanges = _read_exchanges(run, shard, table, least)
            table = join(table, exchanges.select(["row_id", *exchanged]))
        for name in scored:
            table = join(table, _read_scores(run, shard, name))
        yield _decode_words(table.select(list(columns)))


def _is_flag_column(column: str) -> bool:
    return (
        column in schema.FLAGS_TABLE.names
        and column not in schema.PREDICTIONS.names
        and column not in OF_EXCHANGES
    )


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


def group_column_of(run: Run) -> str | None:
    """The column of the catalog that names each image's group; None where there is none."""
    name, columns = run.state.group_column, run.folder.open_catalog().schema
    if name is None or name not in columns.names:
        return None
    return None if pa.types.is_nested(columns.field(name).type) else name


def _keep_same_bytes(before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table]:
    same = pc.equal(before["content_id"], after["content_id"])
    return before.filter(same), after.filter(same)


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


def _add_group(table: pa.Table, run: Run, shard: int) -> pa.Table:
    """Add the group column, as `group`; null where the catalog has none."""
    name = group_column_of(run)
    if name is None:
        return table.append_column("group", pa.nulls(len(table), pa.string()))
    rows = run.folder.open_catalog().read_row_group(shard, columns=["row_id", name])
    return join(table, rows.set_column(1, "group", rows[name].cast(pa.string())))


def _read_exchanges(run: Run, shard: int, table: pa.Table, least: float) -> pa.Table:
    """Interventions and `kept_label`: how often other classes' backgrounds keep the label."""
    part = run.part(INTERVENTIONS, shard)
    if part is None:
        part = schema.INTERVENTIONS.empty_table()
    part = drop_unsure(part, run.part(FOREGROUNDS, shard), least)
    labels = join(part.select(["row_id"]), table.select(["row_id", "label"]))["label"]
    return part.append_column("kept_label", _kept_label(part, labels))


def drop_unsure(table: pa.Table, estimates: pa.Table | None, least: float) -> pa.Table:
    """Without images whose estimated foreground is less sure than `least`, as in the flags."""
    if estimates is None:
        return table
    unsure = estimates.filter(pc.field("iou").is_null() & (pc.field("confidence") < least))
    sure = pc.invert(pc.is_in(table["row_id"], unsure["row_id"].combine_chunks()))
    return table.filter(sure)


def _kept_label(table: pa.Table, labels: pa.ChunkedArray) -> pa.Array:
    """Null without a label, and without a donor of another class."""
    predicted = table["exchanged_predictions"].combine_chunks()
    image_E = pc.list_parent_indices(predicted).to_numpy()
    other_E = ~np.array(pc.list_flatten(table["same_class"].combine_chunks()), dtype=bool)
    names = labels.cast(pa.string()).combine_chunks()
    right_E = pc.equal(pc.list_flatten(predicted), names.take(pa.array(image_E)))
    right_E = pc.fill_null(right_E, False).to_numpy(zero_copy_only=False)
    count_B = np.bincount(image_E[other_E], minlength=len(table))
    kept_B = np.bincount(image_E[other_E], right_E[other_E].astype(float), len(table))
    unknown_B = (count_B == 0) | names.is_null().to_numpy(zero_copy_only=False)
    return pa.array(kept_B / np.maximum(count_B, 1), mask=unknown_B)


def _read_scores(run: Run, shard: int, column: str) -> pa.Table:
    """A method's scores, of foregrounds neither too small nor too large, as in the summary."""
    name, _, method = column.partition(":")
    scores = run.part(SCORES.of(method), shard, list({"row_id", "area", name}))
    if scores is None:
        scores = schema.SCORES.empty_table()
    decidable = (pc.field("area") >= SMALLEST) & (pc.field("area") <= LARGEST)
    kept = scores.filter(decidable)
    return pa.table({"row_id": kept["row_id"], column: kept[name]})


def _decode_words(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table[field.name].cast(pa.string()))
    return table
