"""What a comparison measured of each method, image by image, and its figures with intervals.

Shapes: N images, R draws of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from models.map_quality.sanity import rank_correlation
from models.methods.registry import find_method
from tasks import schema
from tasks.flags.scored_predictions import scored_shards
from tasks.runs.reader import Run
from tasks.schema import Interval, MethodCost
from tasks.storage.files import read_footer

DRAWS = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resampling:
    """How often each image comes in each draw; the same for all methods, which pairs them."""

    count_RN: Floats

    @classmethod
    def of(cls, images: int) -> Resampling:
        drawn = np.random.default_rng(0).multinomial(images, [1 / max(1, images)] * images, DRAWS)
        return cls(drawn.astype(np.float64))

    def means(self, value_N: Floats) -> Floats:
        """Of each draw, over the images that have the figure; NaN where none has."""
        there_N = np.isfinite(value_N)
        count_R = self.count_RN @ there_N
        total_R = self.count_RN @ np.where(there_N, value_N, 0.0)
        return total_R / np.where(count_R > 0, count_R, np.nan)

    def mean(self, value_N: Floats) -> Interval | None:
        """Mean with its percentile interval."""
        there_N = np.isfinite(value_N)
        if not there_N.any():
            return None
        return _interval(float(value_N[there_N].mean()), self.means(value_N), int(there_N.sum()))

    def correlation(self, one_N: Floats, other_N: Floats) -> Interval | None:
        """Spearman's, with the interval of draws of images."""
        there_N = np.isfinite(one_N) & np.isfinite(other_N)
        if there_N.sum() < schema.ENOUGH:
            return None
        one, other = one_N[there_N], other_N[there_N]
        generator = np.random.default_rng(0)
        drawn_RN = generator.integers(len(one), size=(DRAWS, len(one)))
        (value,), drawn_R = (
            _spearman(one[None], other[None]),
            _spearman(one[drawn_RN], other[drawn_RN]),
        )
        return None if np.isnan(value) else _interval(float(value), drawn_R, len(one))


@dataclass(frozen=True)
class MethodMeasurements:
    """One method's values of each image, in an order that all methods share."""

    method: str
    maps: int
    values: Mapping[str, Floats]  # by column of scores, merits and trials; NaN where there is none
    reliance_N: Floats

    @cached_property
    def faithfulness_N(self) -> Floats:
        return self.values["insertion_blur"] - self.values["deletion_mean"]

    def images(self) -> int:
        return int(np.isfinite(self.values["clean"]).sum())

    def figures(self, drawn: Resampling) -> dict[str, Interval | None]:
        """By name, in the order of schema.METHOD_FIGURES."""
        means = {
            "faithfulness": self.faithfulness_N,
            "average_drop": self.values["drop"],
        } | dict(self.values)
        figures = {name: drawn.mean(means[name]) for name in schema.METHOD_FIGURES if name in means}
        figures["degradation"] = self._degradation(drawn)
        background_N = 1 - self.values["share"]
        figures["reliance"] = drawn.correlation(background_N, self.reliance_N)
        return {name: figures[name] for name in schema.METHOD_FIGURES}

    def _degradation(self, drawn: Resampling) -> Interval | None:
        """LeRF minus MoRF, as a share of what degrading takes from the mean probability at all."""
        names = ("lerf", "morf", "clean", "degraded")
        there_N = np.isfinite(self.values["morf"])
        if not there_N.any():
            return None
        whole = [self.values[name][there_N].mean() for name in names]
        lerf, morf, clean, degraded = (
            np.append(drawn.means(self.values[name]), mean)
            for name, mean in zip(names, whole, strict=True)
        )
        lost = np.where(clean == degraded, np.nan, clean - degraded)
        *draws, value = (lerf - morf) / lost
        if np.isnan(value):  # degrading takes nothing
            return None
        return _interval(float(value), np.array(draws), int(there_N.sum()))

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
    """All that the run's parts say of a method, image by image."""
    shards = list(scored_shards(run, method))
    order = [row_id for judged in shards for row_id in judged.table["row_id"].to_pylist()]
    index_of = {row_id: index for index, row_id in enumerate(order)}
    values = {
        name: np.full(len(order), np.nan)
        for kind in (schema.SCORES, schema.MERITS, schema.TRIALS)
        for name in kind.names[1:]
    }
    for stage in ("scores", "merits", "trials"):
        for shard in run.shards:
            part = run.part(f"{stage}/{method}", shard)
            if part is not None:
                _fill(values, index_of, part)
    reliance = [judged.scores.intervened_B for judged in shards]
    maps = sum(read_footer(path).num_rows for path in run.folder.parts(f"maps/{method}"))
    return MethodMeasurements(method, maps, values, np.concatenate([*reliance, np.zeros(0)]))


def _fill(values: dict[str, Floats], index_of: Mapping[str, int], part: pa.Table) -> None:
    """Each row of a part at its image's index."""
    index_n = [index_of[row_id] for row_id in part["row_id"].to_pylist()]
    for name in set(part.column_names) & values.keys():
        values[name][index_n] = part[name].cast(pa.float64()).to_numpy()


def _interval(value: float, drawn_R: Floats, of: int) -> Interval:
    low, high = np.nanquantile(drawn_R, [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high), of=of)


def _spearman(one_RN: Floats, other_RN: Floats) -> Floats:
    pair = (torch.from_numpy(value_RN)[:, None] for value_RN in (one_RN, other_RN))
    found: Floats = rank_correlation(*pair).double().numpy()
    return found


def _median(value_N: Floats) -> float | None:
    there_n = value_N[np.isfinite(value_N)]
    return float(np.median(there_n)) if len(there_n) else None
