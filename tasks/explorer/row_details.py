"""Everything that a run knows of one image: what the explorer shows when it is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import pyarrow.compute as pc

from models.errors import UserError
from tasks.explorer.neighbours import Neighbour, Neighbours
from tasks.flags.score_steps import ScoreSteps, Step
from tasks.query.filters import SPACES, Space
from tasks.runs.rows import Row, RunRows, only_row
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS, SCORES
from tasks.schema import PatternVerdict
from tasks.schema.values import Value
from tasks.storage.parquet import read_table


class MethodMap(Value):
    """A method's map of the image; the figures are null without a foreground, or of zeros."""

    method: str
    words: str
    lift: float | None
    share: float | None


class ChangedPrediction(Value):
    """What the model said of the image after one change."""

    kind: Literal["object_removed", "background_removed", "exchanged", "moved"]
    slot: int  # number of the exchange, or of the move; 0 for the others
    words: str
    prediction: str
    probability: float  # of the class that it predicts for the unchanged picture
    donor: str | None = None  # row_id
    donor_label: str | None = None
    same_class: bool | None = None  # has the donor the image's label?


class ImagePattern(Value):
    """A pattern that the image is a member of."""

    id: str
    name: str
    verdict: PatternVerdict


class RowFailure(Value):
    stage: str
    message: str
    remedy: str
    kind: str  # permanent or transient


class RowDetails(Value):
    """One image; the prediction and what follows from it are null where it was not predicted."""

    row_id: str
    row: int  # its number in the catalog
    image: str  # address
    label: str | None
    prediction: str | None
    confidence: float | None
    correct: bool | None
    flag: str | None
    reason: str | None
    values: dict[str, Any]  # by column of the image table
    maps: tuple[MethodMap, ...]
    formula: tuple[Step, ...]  # of its score; empty where it has none
    changes: tuple[ChangedPrediction, ...]
    patterns: tuple[ImagePattern, ...]
    neighbours: dict[Space, tuple[Neighbour, ...]]
    failures: tuple[RowFailure, ...]
    before: RowDetails | None = None  # of the other run


class DetailsReader:
    """Reads the details of a run's images; kept while a run is looked at. Many threads may ask."""

    def __init__(self, rows: RunRows) -> None:
        self.rows = rows
        self._neighbours = Neighbours(rows)

    def read(
        self, row_id: str, values: Mapping[str, Any], before: RowDetails | None = None
    ) -> RowDetails:
        """`values` are the image's in the image table; refuses a row that is not there."""
        catalog = self.rows.catalog_row(row_id).to_pylist()[0]
        prediction = only_row(self.rows.part_row(PREDICTIONS, row_id)) or {}
        flag = only_row(self.rows.flag_row(row_id)) or {}
        return RowDetails(
            row_id=row_id,
            row=self.rows.number(row_id),
            image=catalog["image"],
            label=catalog["label"],
            **{name: prediction.get(name) for name in ("prediction", "confidence", "correct")},
            **{name: flag.get(name) for name in ("flag", "reason")},
            values=dict(values),
            maps=tuple(self._maps(row_id)),
            formula=() if self._score_steps is None else self._score_steps.of(row_id),
            changes=tuple(self.changes(row_id)),
            patterns=self._patterns(row_id),
            neighbours={space: self._neighbours.nearest(row_id, space) for space in SPACES},
            failures=tuple(_failure(row) for row in self.rows.failures(row_id)),
            before=before,
        )

    def _maps(self, row_id: str) -> Iterator[MethodMap]:
        for method in self._methods:
            if self.rows.has_map(row_id, method):
                scores = only_row(self.rows.part_row(SCORES.of(method), row_id))
                yield _map(method, scores)

    def changes(self, row_id: str) -> Iterator[ChangedPrediction]:
        """Object removed, background removed, each exchange, each move; none without foreground."""
        row = only_row(self.rows.part_row(INTERVENTIONS, row_id))
        if row is None:
            return
        yield _removal("object_removed", "object removed", row)
        yield _removal("background_removed", "background removed", row)
        for slot, donor in enumerate(row["donors"]):
            label = self._donor_labels.get(donor)
            yield ChangedPrediction(
                kind="exchanged",
                slot=slot,
                words=f"on the background of {donor}" + (f" ({label})" if label else ""),
                prediction=row["exchanged_predictions"][slot],
                probability=row["exchanged"][slot],
                donor=donor,
                donor_label=label,
                same_class=row["same_class"][slot],
            )
        for slot, way in enumerate(row["moved_ways"] or ()):
            yield ChangedPrediction(
                kind="moved",
                slot=slot,
                words=f"on its own background, moved: {way}",
                prediction=row["moved_predictions"][slot],
                probability=row["moved"][slot],
            )

    def _patterns(self, row_id: str) -> tuple[ImagePattern, ...]:
        """In the order of the run's table: the confirmed first."""
        folder = self.rows.run.folder
        if not folder.pattern_members.is_file():
            return ()
        of_image = pc.field("row_id") == row_id
        members = read_table(folder.pattern_members, ["pattern"], of_image)
        ids = set(members["pattern"].to_pylist())
        return tuple(
            ImagePattern(id=row["pattern"], name=row["name"], verdict=row["verdict"])
            for row in self._pattern_rows
            if row["pattern"] in ids
        )

    @cached_property
    def _pattern_rows(self) -> list[Row]:
        table = read_table(self.rows.run.folder.patterns, ["pattern", "name", "verdict"])
        rows: list[Row] = table.to_pylist()
        return rows

    @cached_property
    def _methods(self) -> list[str]:
        return self.rows.run.methods

    @cached_property
    def _donor_labels(self) -> dict[str, str | None]:
        donors = self.rows.run.folder.donors
        if not donors.is_file():
            return {}
        table = read_table(donors, ["row_id", "label"])
        return dict(zip(table["row_id"].to_pylist(), table["label"].to_pylist(), strict=True))

    @cached_property
    def _score_steps(self) -> ScoreSteps | None:
        """None for a run that is not finished, or whose summary is another version's."""
        try:
            return ScoreSteps(self.rows, self.rows.run.summary().rule)
        except UserError:
            return None


def _removal(
    kind: Literal["object_removed", "background_removed"], words: str, row: Row
) -> ChangedPrediction:
    return ChangedPrediction(
        kind=kind,
        slot=0,
        words=words,
        prediction=row[f"{kind}_prediction"],
        probability=row[kind],
    )


def _map(method: str, scores: Row | None) -> MethodMap:
    """Without scores, the image has no foreground to compare the map with."""
    share, lift = (None, None) if scores is None else (scores["share"], scores["lift"])
    if scores is None:
        words = "no foreground to compare it with"
    elif share is None:
        words = "zero everywhere"
    else:
        words = f"{share:.0%} of it on the object, {lift:.2f} times what chance would give"
    return MethodMap(method=method, words=words, lift=lift, share=share)


def _failure(row: Row) -> RowFailure:
    return RowFailure(**{name: row[name] for name in RowFailure.model_fields})
