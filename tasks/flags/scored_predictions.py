"""Each prediction of a run with everything that its flag depends on, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import schema
from tasks.attribution.donor_predictions import DonorPredictions, read_donor_predictions
from tasks.catalog.catalog import sources_of
from tasks.flags.background_score import Scores, score_images
from tasks.flags.exchanges import Exchanges
from tasks.flags.forecast import Trial, try_forecast
from tasks.flags.sure_estimates import sure_rows
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS, SCORES, Stage

ANNOTATIONS = ["row_id", "masks", "regions"]
SURVIVES = 0.9  # of its probability: what a prediction keeps that does not need the object


@dataclass(frozen=True)
class ScoredPredictions:
    """One shard's predictions with their `probability`, the source of their foreground
    (`foreground`), an estimate's `confidence` (null for other sources), area, share, lift and
    reliance. Estimates of less confidence than the least decide nothing."""

    table: pa.Table
    scores: Scores
    least_confidence: float

    @property
    def unsure_B(self) -> np.ndarray:
        """Which images' foregrounds are estimates of too little confidence."""
        least = pa.scalar(self.least_confidence, pa.float32())  # as stored
        is_less = pc.less(self.table["confidence"], least)
        unsure_B: np.ndarray = pc.fill_null(is_less, False).to_numpy()
        return unsure_B

    def other_objects(self) -> pa.ChunkedArray:
        """May the estimated foreground be another object? Null for other sources.

        So it is where the prediction survives the removal of what was estimated, and the map lies
        less in it than by chance. A model that ignores the right object does the same: estimates
        alone do not tell the two apart.
        """
        survives = pc.greater_equal(
            self.table["object_removed"], pc.multiply(self.table["probability"], SURVIVES)
        )
        other = pc.fill_null(pc.and_(survives, pc.less(self.table["lift"], 1)), False)
        estimated = pc.equal(self.table["foreground"], "estimated")
        return pc.if_else(estimated, other, pa.scalar(None, pa.bool_()))

    @property
    def decidable_B(self) -> np.ndarray:
        """Which images a threshold decides."""
        undecided_B = self.unsure_B | self.scores.pasted_poorly_B
        decidable_B: np.ndarray = np.isfinite(self.scores.score_B) & ~undecided_B
        return decidable_B

    def calibration_pairs(self) -> np.ndarray:
        """(b, 2): score and null score of the images that have both and can be decided."""
        pair_B2 = np.stack([self.scores.score_B, self.scores.null_score_B], 1)
        pair_b2: np.ndarray = pair_B2[np.isfinite(pair_B2).all(1) & self.decidable_B]
        return pair_b2


@dataclass(frozen=True)
class ScoredShards:
    """One value per shard that has predictions; `estimated`: with estimates in place of masks."""

    run: Run
    method: str
    least_confidence: float
    estimated: bool = False

    def __iter__(self) -> Iterator[ScoredPredictions]:
        class_index = class_index_of(self.run)
        for shard in self.run.shards:
            table = self._read(shard)
            if table is not None:
                scores = _scores(table, class_index, self._donors, self._trust)
                yield ScoredPredictions(table, scores, self.least_confidence)

    def _read(self, shard: int) -> pa.Table | None:
        """Everything that the scores of its images stand on; None without predictions."""
        predicted = ["row_id", "content_id", "prediction", "confidence"]
        table = self.run.part(PREDICTIONS, shard, predicted)
        if table is None:
            return None
        table = table.rename_columns(["row_id", "content_id", "prediction", "probability"])
        table = join(table, sources_of(self._catalog.read_row_group(shard, columns=ANNOTATIONS)))
        for stage, columns in (
            (FOREGROUNDS, schema.FOREGROUNDS),
            (self._stage(SCORES.of(self.method)), schema.SCORES),
            (self._stage(INTERVENTIONS), schema.INTERVENTIONS),
        ):
            table = join_part(table, self.run.part(stage, shard), columns)
        return _with_estimates(table, everywhere=self.estimated)

    def _stage(self, stage: Stage) -> Stage:
        return stage.from_estimates() if self.estimated else stage

    @cached_property
    def _catalog(self) -> pq.ParquetFile:
        return self.run.folder.open_catalog()

    @cached_property
    def _donors(self) -> DonorPredictions | None:
        return read_donor_predictions(self.run.folder)

    @cached_property
    def _trust(self) -> float:
        """It takes all shards: once, however often these are gone through."""
        return trust_of(self.run, self._stage(INTERVENTIONS), self._donors, self.least_confidence)


def _with_estimates(table: pa.Table, *, everywhere: bool) -> pa.Table:
    """Images use their estimate, where there is one: those without an annotation, or all."""
    estimated = table["confidence"].is_valid()
    if not everywhere:
        estimated = pc.and_(pc.equal(table["foreground"], "none"), estimated)
    source = pc.if_else(estimated, "estimated", table["foreground"])
    confidence = pc.if_else(estimated, table["confidence"], pa.scalar(None, pa.float32()))
    for name, column in (("foreground", source), ("confidence", confidence)):
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def trust_of(
    run: Run, intervened: Stage, donors: DonorPredictions | None, least_confidence: float
) -> float:
    """How far the forecast is trusted, by all exchanges of the run, but for those of images whose
    estimate is too unsure: an object that it misses is on both backgrounds."""
    trial, class_index = Trial(), class_index_of(run)
    everywhere = intervened != INTERVENTIONS
    for shard in run.shards:
        predictions = run.part(PREDICTIONS, shard, ["row_id", "prediction"])
        changed = run.part(intervened, shard, ["row_id", "donors", "exchanged"])
        if predictions is None or changed is None or donors is None:
            continue
        changed = sure_rows(run, shard, changed, least_confidence, everywhere=everywhere)
        table = join(predictions, changed)
        table = table.filter(table["exchanged"].is_valid())
        class_b = classes_of(table, class_index)
        trial += try_forecast(class_b, donors, Exchanges.of(table, class_b, donors))
    return trial.trust


def _scores(
    table: pa.Table, class_index: dict[str, int], donors: DonorPredictions | None, trust: float
) -> Scores:
    """NaN for images without interventions."""
    changed = table["exchanged"].is_valid().to_numpy(zero_copy_only=False)
    scores = Scores.missing(len(table))
    if donors is None or not len(donors.index) or not changed.any():
        return scores
    interventions = table.filter(pa.array(changed))
    class_b = classes_of(interventions, class_index)
    for name, value_b in vars(score_images(interventions, class_b, donors, trust)).items():
        getattr(scores, name)[changed] = value_b
    return scores


def class_index_of(run: Run) -> dict[str, int]:
    """The index of each of the model's classes."""
    return {name: index for index, name in enumerate(run.state.classes)}


def classes_of(table: pa.Table, class_index: dict[str, int]) -> np.ndarray:
    """The index of each predicted class."""
    return np.array([class_index[name] for name in table["prediction"].to_pylist()], np.int64)


def join_part(table: pa.Table, part: pa.Table | None, columns: pa.Schema) -> pa.Table:
    """Add the part's columns, all null where there is no part."""
    return join(table, columns.empty_table() if part is None else part)
