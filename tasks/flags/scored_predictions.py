"""Each prediction of a run with all that its flag is made of, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.attribution.donor_predictions import DonorPredictions, read_donor_predictions
from tasks.catalog.catalog import sources_of
from tasks.flags.background_score import Scores, score_images
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS, SCORES
from tasks.storage.files import open_parquet


@dataclass(frozen=True)
class ScoredPredictions:
    """One shard's predictions with where their foreground comes from (`foreground`), how sure an
    estimate is (`confidence`, null where the mask is none), area, share, lift and reliance."""

    table: pa.Table
    scores: Scores

    def unsure(self, least: float) -> np.ndarray:
        """Which images' foregrounds are estimates that are not sure enough."""
        confidence_B = pc.fill_null(self.table["confidence"], 1.0).to_numpy()
        unsure_B: np.ndarray = confidence_B < least
        return unsure_B

    def paired(self, least: float) -> np.ndarray:
        """Score and null score, (b, 2), of the images that have both, to calibrate by."""
        pair_B2 = np.stack([self.scores.score_B, self.scores.null_score_B], 1)
        known_b2: np.ndarray = pair_B2[np.isfinite(pair_B2).all(1) & ~self.unsure(least)]
        return known_b2


def scored_shards(run: Run, method: str, *, estimated: bool = False) -> Iterator[ScoredPredictions]:
    """A value a shard with predictions; `estimated`: with estimates in place of masks."""
    stages = (SCORES.of(method), INTERVENTIONS)
    scored, intervened = (s.from_estimates() if estimated else s for s in stages)
    votes = read_donor_predictions(run.folder)
    places = {name: place for place, name in enumerate(run.state.classes)}
    catalog = open_parquet(run.folder.catalog)
    for shard in run.shards:
        table = run.part(PREDICTIONS, shard, ["row_id", "content_id", "prediction"])
        if table is None:
            continue
        sources = sources_of(catalog.read_row_group(shard, columns=["row_id", "masks", "regions"]))
        table = join(table, sources)
        table = _joined(table, run.part(FOREGROUNDS, shard), schema.FOREGROUNDS)
        table = _joined(table, run.part(scored, shard), schema.SCORES)
        table = _joined(table, run.part(intervened, shard), schema.INTERVENTIONS)
        yield ScoredPredictions(_with_estimates(table), _scores(table, places, votes))


def _with_estimates(table: pa.Table) -> pa.Table:
    """Images without a mask of their own have an estimate, where there is one."""
    estimated = pc.and_(pc.equal(table["foreground"], "none"), table["confidence"].is_valid())
    source = pc.if_else(estimated, "estimated", table["foreground"])
    confidence = pc.if_else(estimated, table["confidence"], pa.scalar(None, pa.float32()))
    for name, column in (("foreground", source), ("confidence", confidence)):
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _scores(table: pa.Table, places: dict[str, int], votes: DonorPredictions | None) -> Scores:
    """NaN for images that were not intervened on."""
    there = table["exchanged"].is_valid().to_numpy(zero_copy_only=False)
    nothing = np.full(len(table), np.nan)
    if votes is None or not len(votes.index) or not there.any():
        return Scores(nothing, nothing, nothing, nothing)
    known = table.filter(pa.array(there))
    place_B = np.array([places[name] for name in known["prediction"].to_pylist()], np.int64)
    found = score_images(known, place_B, votes)
    spread = []
    for value_b in (found.kept_B, found.null_kept_B, found.removal_B, found.attention_B):
        value_B = nothing.copy()
        value_B[there] = value_b
        spread.append(value_B)
    return Scores(*spread)


def _joined(table: pa.Table, part: pa.Table | None, columns: pa.Schema) -> pa.Table:
    """With the part's columns, all null where there is no part."""
    return join(table, columns.empty_table() if part is None else part)
