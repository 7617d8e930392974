"""The measurements of each method, image by image, and its figures with intervals.

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from models.methods.registry import find_method
from tasks import schema
from tasks.flags.scored_predictions import ScoredShards
from tasks.flags.sure_estimates import least_confidence_of
from tasks.intervals.bootstrap import Draws, Floats, mean_of_known, percentile_interval
from tasks.intervals.rank_correlation import rank_correlation
from tasks.runs.reader import Run
from tasks.runs.stages import FAITHFULNESS, MAPS, SANITY, SCORES
from tasks.schema import Interval, MethodCost
from tasks.storage.parquet import read_footer

OF_FOREGROUND = (*schema.SCORES.names[1:], "top_k", "heat_ratio")


@dataclass(frozen=True)
class MethodMeasurements:
    """One method's values for each image, in an order that all methods share."""

    method: str
    maps: int
    values: Mapping[str, Floats]  # by column of its parts; NaN where there is none
    reliance_N: Floats

    @cached_property
    def faithfulness_N(self) -> Floats:
        return self.values["insertion_blur"] - self.values["deletion_mean"]

    def images(self) -> int:
        return int(np.isfinite(self.values["clean"]).sum())

    def figures(self, draws: Draws) -> dict[str, Interval | None]:
        """By name, in the order of schema.METHOD_FIGURES."""
        means = {
            "faithfulness": self.faithfulness_N,
            "average_drop": self.values["drop"],
        } | dict(self.values)
        figures = {
            name: mean_of_known(means[name], draws)
            for name in schema.METHOD_FIGURES
            if name in means
        }
        figures["degradation"] = self._degradation(draws)
        background_N = 1 - self.values["share"]
        figures["reliance"] = rank_correlation(background_N, self.reliance_N, draws)
        return {name: figures[name] for name in schema.METHOD_FIGURES}

    def _degradation(self, draws: Draws) -> Interval | None:
        """LeRF minus MoRF, as a share of what full degradation takes from the mean probability."""
        names = ("lerf", "morf", "clean", "degraded")
        has_map_N = np.isfinite(self.values["morf"])
        if not has_map_N.any():
            return None
        whole = [self.values[name][has_map_N].mean() for name in names]
        lerf, morf, clean, degraded = (
            np.append(draws.means(self.values[name]), mean)
            for name, mean in zip(names, whole, strict=True)
        )
        lost = np.where(clean == degraded, np.nan, clean - degraded)
        *draws_of_value, value = (lerf - morf) / lost
        if np.isnan(value):  # degrading takes nothing
            return None
        low, high = percentile_interval(float(value), np.array(draws_of_value))
        return Interval(value=float(value), low=low, high=high, of=int(has_map_N.sum()))

    def cost(self) -> MethodCost:
        declared = find_method(self.method).cost
        seconds, forward = (_median(self.values[name]) for name in ("seconds", "forward_seconds"))
        return MethodCost(
            forwards=None if declared is None else declared.forwards,
            backwards=None if declared is None else declared.backwards,
            seconds=seconds,
            images_per_second=None if not seconds else 1 / seconds,
            times_forward=None if not (seconds and forward) else seconds / forward,
        )


def read_measurements(run: Run, method: str) -> MethodMeasurements:
    """What the run's parts hold about a method, image by image; nothing of foregrounds that are
    estimates of too little confidence."""
    shards = list(ScoredShards(run, method, least_confidence_of(run)))
    order = [row_id for scored in shards for row_id in scored.table["row_id"].to_pylist()]
    index_of = {row_id: index for index, row_id in enumerate(order)}
    values = {
        name: np.full(len(order), np.nan)
        for kind in (schema.SCORES, schema.MERITS, schema.TRIALS)
        for name in kind.names[1:]
    }
    for stage in (SCORES, FAITHFULNESS, SANITY):
        for shard in run.shards:
            part = run.part(stage.of(method), shard)
            if part is not None:
                _fill(values, index_of, part)
    unsure_N = np.concatenate([*(it.unsure_B for it in shards), np.zeros(0, bool)])
    reliance_N = np.concatenate([*(it.scores.intervened_B for it in shards), np.zeros(0)])
    for value_N in (*(values[name] for name in OF_FOREGROUND), reliance_N):
        value_N[unsure_N] = np.nan
    maps = sum(read_footer(path).num_rows for path in run.folder.parts(MAPS.of(method)))
    return MethodMeasurements(method, maps, values, reliance_N)


def _fill(values: dict[str, Floats], index_of: Mapping[str, int], part: pa.Table) -> None:
    """Each row of a part at its image's index."""
    index_n = [index_of[row_id] for row_id in part["row_id"].to_pylist()]
    for name in set(part.column_names) & values.keys():
        values[name][index_n] = part[name].cast(pa.float64()).to_numpy()


def _median(value_N: Floats) -> float | None:
    known_n = value_N[np.isfinite(value_N)]
    return float(np.median(known_n)) if len(known_n) else None
