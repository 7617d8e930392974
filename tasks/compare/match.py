"""The images that two runs share, and how they answered then and now; no table in Python lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.intervals.paired_means import Covariance
from tasks.intervals.paired_rates import Crossing
from tasks.runs.reader import Run
from tasks.runs.stages import PREDICTIONS
from tasks.storage.files import open_parquet, read_table

BLOCK = 1 << 16  # rows that are matched at once: each match costs a pass over the earlier keys


@dataclass
class Shared:
    """What is added up over images that both runs predicted."""

    classes: Sequence[str]
    same: int = 0  # of the same bytes; all that follows is of these
    changed: int = 0  # of other bytes
    other_prediction: int = 0
    correct: Crossing = field(default_factory=Crossing)  # labelled in both
    undecided: Crossing = field(default_factory=Crossing)
    flagged: Crossing = field(default_factory=Crossing)  # decided in both
    by_class: list[Crossing] = field(init=False)  # flagged, of those predicted alike
    lift: Covariance = field(default_factory=Covariance)

    def __post_init__(self) -> None:
        self.by_class = [Crossing()] * len(self.classes)

    def add(self, before: pa.Table, now: pa.Table) -> None:
        """Add images in one order."""
        same = pc.equal(before["content_id"], now["content_id"])
        self.changed += len(now)
        before, now = before.filter(same), now.filter(same)
        self.changed -= len(now)
        self.same += len(now)
        alike = _true(pc.equal(before["prediction"], now["prediction"]))
        self.other_prediction += int((~alike).sum())
        labelled = _true(pc.and_(before["correct"].is_valid(), now["correct"].is_valid()))
        right = [_true(table["correct"].fill_null(False))[labelled] for table in (before, now)]
        self.correct += Crossing.of(*right)
        undecided = [_true(pc.equal(table["flag"], "undecided")) for table in (before, now)]
        self.undecided += Crossing.of(*undecided)
        self._add_decided(before, now, alike, ~(undecided[0] | undecided[1]))

    def _add_decided(
        self, before: pa.Table, now: pa.Table, alike: np.ndarray, decided: np.ndarray
    ) -> None:
        flags = [
            _true(pc.equal(table["flag"], "rests_on_background"))[decided]
            for table in (before, now)
        ]
        self.flagged += Crossing.of(*flags)
        self.lift.add(*(table["lift"].to_numpy()[decided] for table in (before, now)))
        alike, predicted = alike[decided], now["prediction"].to_numpy()[decided]
        for number in np.unique(predicted[alike]):
            own = alike & (predicted == number)
            self.by_class[number] += Crossing.of(*(side[own] for side in flags))


def match_images(before: Run, now: Run, classes: Sequence[str]) -> Shared:
    """Match the later run's images with the earlier's by their keys, block by block."""
    shared = Shared(classes)
    known = list(_answers(before, classes))
    if not known:
        return shared
    old = pa.concat_tables(known).combine_chunks()
    keys = old["row_id"].combine_chunks()
    for block in _blocks(_answers(now, classes)):
        place = pc.index_in(block["row_id"], keys).combine_chunks()
        found = place.is_valid()
        shared.add(old.take(place.filter(found)), block.filter(found))
    return shared


def other_rows(before: Run, now: Run) -> tuple[int, int]:
    """How many rows only the later catalog has, and only the earlier."""
    old, new = (
        read_table(run.folder.catalog, columns=["row_id"])["row_id"].combine_chunks()
        for run in (before, now)
    )
    added: int = pc.index_in(new, old).null_count
    return added, len(old) - (len(new) - added)


def _blocks(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= BLOCK:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _answers(run: Run, classes: Sequence[str]) -> Iterator[pa.Table]:
    """What the run says of its images, shard by shard; a prediction is its class's number."""
    flags = open_parquet(run.folder.flags)  # a row group for each shard with predictions
    names = pa.array(classes, pa.string())
    group = 0
    for shard in run.shards:
        part = run.part(PREDICTIONS, shard, ["row_id", "content_id", "prediction", "correct"])
        if part is None:
            continue
        told = flags.read_row_group(group, columns=["flag", "lift"])
        group += 1
        yield pa.table(
            {
                "row_id": part["row_id"],
                "content_id": part["content_id"],
                "correct": part["correct"],
                "prediction": pc.index_in(part["prediction"].cast(pa.string()), names),
                "flag": told["flag"].cast(pa.string()),
                "lift": told["lift"].cast(pa.float64()),
            }
        )


def _true(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy().astype(bool)
    return values
