"""The images that two runs of the same question both answered, side by side; refuses other runs.

Shapes: N images, 2 is before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import NotComparable
from tasks import schema
from tasks.flags.estimate_quality import least_of
from tasks.interventions.donors import donor_digest
from tasks.interventions.intervene import LARGEST, SMALLEST
from tasks.interventions.settings import InterventionSettings
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS, SCORES
from tasks.schema import GROUP_COLUMN
from tasks.storage.files import open_parquet, read_footer

Floats = NDArray[np.float64]

# Of a run's identity: what asks another question. Weights, layer and numbers may differ.
FIELDS = ("catalog", "shard_size", "classes", "target")
GROUND = ("foreground", "polarity", "orientation", "estimator")
LIFT = "lift:"  # columns of a method's lift


@dataclass(frozen=True)
class Pairs:
    """One row an image in both tables, in one order: what was predicted, flagged and changed."""

    before: pa.Table
    after: pa.Table
    rows: int  # of the catalog
    has_groups: bool  # is there a column `group`?

    def __len__(self) -> int:
        return len(self.after)

    def values(self, name: str) -> Floats:
        """(N, 2); NaN where a run has none."""
        sides = (table[name].cast(pa.float64()) for table in (self.before, self.after))
        return np.stack([pc.fill_null(side, np.nan).to_numpy() for side in sides], 1)

    def words(self, name: str) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        before, after = (
            np.array(table[name].to_pylist(), object) for table in (self.before, self.after)
        )
        return before, after

    @cached_property
    def label_N(self) -> NDArray[np.object_]:
        """None where an image has none."""
        return self.words("label")[1]

    @cached_property
    def group_N(self) -> NDArray[np.object_]:
        """Values of the column `group`, else labels; None where an image has none."""
        return self.words("group")[1] if self.has_groups else self.label_N


def read_pairs(before: Run, after: Run) -> Pairs:
    """All that the two runs say of images of the same bytes that both predicted."""
    check_pair(before, after)
    return match_runs(before, after)


def match_runs(before: Run, after: Run) -> Pairs:
    """The same of runs that are no pair, as with other donors: who calls it knows why."""
    methods = shared_methods(before, after)
    has_groups = _has_groups(after)
    first, last = (_answers(run, methods, has_groups) for run in (before, after))
    found = [_matched(*sides) for sides in zip(first, last, strict=True)]
    tables = [_joined(side) for side in zip(*found, strict=True)]
    return Pairs(tables[0], tables[1], read_footer(after.folder.catalog).num_rows, has_groups)


def read_alone(run: Run) -> Pairs:
    """All that one run says of its images, as a pair with itself."""
    has_groups = _has_groups(run)
    table = _joined(_answers(run, shared_methods(run, run), has_groups))
    return Pairs(table, table, read_footer(run.folder.catalog).num_rows, has_groups)


def check_pair(before: Run, after: Run) -> None:
    """Refuse two runs that differ in more than the model, naming the fields and both values."""
    then, now = _question(before), _question(after)
    other = [f"{name} was {then[name]}, is {now[name]}" for name in now if then[name] != now[name]]
    if other:
        raise NotComparable(
            f"{before.folder.path} and {after.folder.path} are no pair ({'; '.join(other)}): "
            "audit both models on the same data with the same settings, --donors of one of them"
        )


def shared_methods(before: Run, after: Run) -> list[str]:
    """Attribution methods that both runs have, in the later one's order."""
    first, last = (run.state.methods for run in (before, after))
    return [method for method in last if method in first]


def _question(run: Run) -> dict[str, str]:
    """By field, what both runs must have alike."""
    identity = run.state.identity
    found = identity.as_json(*FIELDS, *GROUND)
    found |= {f"preprocessing.{name}": value for name, value in identity.geometry.items()}
    found["donor pool"] = donor_digest(run.folder)
    if found["donor pool"] is not None:
        settings = run.state.section("interventions", InterventionSettings)
        found["donors"] = settings.model_dump(include={"others", "same", "fill", "donor_seed"})
    else:
        found["donors"] = None
    return {name: _plain(value) for name, value in found.items()}


def _has_groups(run: Run) -> bool:
    columns = open_parquet(run.folder.catalog).schema_arrow
    return GROUP_COLUMN in columns.names and not pa.types.is_nested(
        columns.field(GROUP_COLUMN).type
    )


def _plain(value: object) -> str:
    return value[:12] if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _matched(before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows of the same key and bytes, in one order."""
    place = pc.index_in(after["row_id"], before["row_id"].combine_chunks()).combine_chunks()
    found = place.is_valid()
    before, after = before.take(place.filter(found)), after.filter(found)
    same = pc.equal(before["content_id"], after["content_id"])
    return before.filter(same), after.filter(same)


def _joined(shards: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables(shards, promote_options="default")


def _answers(run: Run, methods: list[str], has_groups: bool) -> Iterator[pa.Table]:
    """A table a shard, empty where nothing was predicted."""
    flags = open_parquet(run.folder.flags)  # a row group for each shard with predictions
    least = least_of(run)
    group = 0
    for shard in run.shards:
        table = run.part(PREDICTIONS, shard)
        if table is None:
            table = schema.PREDICTIONS.empty_table()
            told = schema.FLAGS_TABLE.empty_table()
        else:
            told = flags.read_row_group(group)
            group += 1
        table = _with_group(table, run, shard, has_groups)
        for name in ("flag", "score", "null_score"):
            table = table.append_column(name, told[name])
        table = join(table, _interventions(run, shard, table, least))
        for method in methods:
            table = join(table, _lifts(run, shard, method))
        yield _plain_words(table.drop_columns(["foreground_id"]))


def _with_group(table: pa.Table, run: Run, shard: int, has_groups: bool) -> pa.Table:
    if not has_groups:
        return table.append_column("group", pa.nulls(len(table), pa.string()))
    rows = open_parquet(run.folder.catalog).read_row_group(shard, columns=["row_id", GROUP_COLUMN])
    return join(table, rows.set_column(1, "group", rows[GROUP_COLUMN].cast(pa.string())))


def _interventions(run: Run, shard: int, table: pa.Table, least: float) -> pa.Table:
    """With the share of other classes' backgrounds that leave the label (`kept_label`)."""
    found = run.part(INTERVENTIONS, shard)
    if found is None:
        found = schema.INTERVENTIONS.empty_table()
    estimates = run.part(FOREGROUNDS, shard)
    if estimates is not None:  # as the flags: what is too unsure says nothing
        unsure = estimates.filter(pc.field("iou").is_null() & (pc.field("confidence") < least))
        known = pc.invert(pc.is_in(found["row_id"], unsure["row_id"].combine_chunks()))
        found = found.filter(known)
    names = ["row_id", "flips", "reliance_exchange", "reliance_removal"]
    labels = join(found.select(["row_id"]), table.select(["row_id", "label"]))["label"]
    return found.select(names).append_column("kept_label", _kept_label(found, labels))


def _kept_label(found: pa.Table, labels: pa.ChunkedArray) -> pa.Array:
    """Null without a label, and without a donor of another class."""
    predicted = found["exchanged_predictions"].combine_chunks()
    image_E = pc.list_parent_indices(predicted).to_numpy()
    other_E = ~np.array(pc.list_flatten(found["same_class"].combine_chunks()), dtype=bool)
    names = labels.cast(pa.string()).combine_chunks()
    right_E = pc.equal(pc.list_flatten(predicted), names.take(pa.array(image_E)))
    right_E = pc.fill_null(right_E, False).to_numpy(zero_copy_only=False)
    count_B = np.bincount(image_E[other_E], minlength=len(found))
    kept_B = np.bincount(image_E[other_E], right_E[other_E].astype(float), len(found))
    unknown_B = (count_B == 0) | names.is_null().to_numpy(zero_copy_only=False)
    return pa.array(kept_B / np.maximum(count_B, 1), mask=unknown_B)


def _lifts(run: Run, shard: int, method: str) -> pa.Table:
    """Of foregrounds that leave something of object and background, as the summary's."""
    scores = run.part(SCORES.of(method), shard, ["row_id", "area", "lift"])
    if scores is None:
        scores = schema.SCORES.empty_table()
    decidable = (pc.field("area") >= SMALLEST) & (pc.field("area") <= LARGEST)
    kept = scores.filter(decidable)
    return pa.table({"row_id": kept["row_id"], f"{LIFT}{method}": kept["lift"]})


def _plain_words(table: pa.Table) -> pa.Table:
    """Dictionaries as the words that they stand for: those of two runs cannot be compared."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table
