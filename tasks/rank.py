"""Attribution methods side by side: figures with intervals, and which one to use.

Shapes: N images, F figures, R draws of the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from models.methods import find_method
from models.sanity import rank_correlation
from tasks import schema
from tasks.judge import judged_shards
from tasks.places import read_footer
from tasks.reader import Run
from tasks.schema import Interval, MethodCost, MethodFigures
from tasks.tally import ENOUGH

DRAWS = 1000
CHANGED = 0.5  # rank correlation that a map must fall below when half of the network forgets
COUNTED = ("faithfulness", "lift", "stability")  # in which one method may be no worse than another
RULE = (
    "Of the methods whose maps change when the upper half of the network forgets (rank "
    f"correlation below {CHANGED:g}), those whose faithfulness is within the 95% interval of the "
    "best's are as good as the best can be told from here; of these the cheapest that no other "
    "dominates (cheaper and no worse in faithfulness, lift and stability) is recommended. "
    "Faithfulness is the area under the insertion curve from a blurred picture minus that under "
    "the deletion curve to the data's mean."
)

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
        if there_N.sum() < ENOUGH:
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
class Measured:
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
        """By name, in the order of schema.FIGURES."""
        told = {
            "faithfulness": self.faithfulness_N,
            "average_drop": self.values["drop"],
        } | dict(self.values)
        figures = {name: drawn.mean(told[name]) for name in schema.FIGURES if name in told}
        figures["degradation"] = self._degradation(drawn)
        background_N = 1 - self.values["share"]
        figures[schema.RELIANCE] = drawn.correlation(background_N, self.reliance_N)
        return {name: figures[name] for name in schema.FIGURES}

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


@dataclass(frozen=True)
class Rival:
    """A method with what the recommendation asks of it."""

    method: str
    figures: Mapping[str, Interval | None]
    price: float  # times a bare forward pass
    sane: bool | None
    faithfulness_R: Floats  # mean of each draw

    def value(self, name: str) -> float:
        figure = self.figures[name]
        return np.nan if figure is None else figure.value

    def dominates(self, other: Rival) -> bool:
        """Cheaper, and no worse in any figure that counts."""
        counted = [
            name for name in COUNTED if None not in (self.figures[name], other.figures[name])
        ]
        return (
            self.sane is not False
            and self.price < other.price
            and bool(counted)
            and all(self.value(name) >= other.value(name) for name in counted)
        )

    def is_as_good_as(self, best: Rival) -> bool:
        """Does the interval of the paired difference reach down to zero?"""
        low = np.nanquantile(best.faithfulness_R - self.faithfulness_R, 0.025)
        return self is best or bool(low <= 0)


@dataclass(frozen=True)
class Ranking:
    """The rivals, and the one to use."""

    rivals: Sequence[Rival]

    @cached_property
    def eligible(self) -> list[Rival]:
        return [r for r in self.rivals if r.sane is not False and r.figures["faithfulness"]]

    @cached_property
    def best(self) -> Rival | None:
        return max(self.eligible, key=lambda rival: rival.value("faithfulness"), default=None)

    @cached_property
    def chosen(self) -> Rival | None:
        if self.best is None:
            return None
        good = [r for r in self.eligible if r.is_as_good_as(self.best)]
        free = (rival for rival in good if not self.dominating(rival))
        return min(free, key=lambda rival: rival.price, default=self.best)

    def dominating(self, rival: Rival) -> str | None:
        """The cheapest method that dominates it."""
        over = [other for other in self.rivals if other.dominates(rival)]
        return min(over, key=lambda other: other.price).method if over else None

    def verdict(self, rival: Rival) -> str:
        """Why it is recommended, or not."""
        if not rival.figures["faithfulness"]:
            return "no map to judge"
        if rival.sane is False:
            half = rival.figures["half"]
            return (
                f"its maps stay when half of the network forgets (rank correlation {_told(half)})"
            )
        if rival is self.chosen:
            return "recommended"
        assert self.best is not None
        if not rival.is_as_good_as(self.best):
            return f"less faithful than {self.best.method}"
        over = self.dominating(rival)
        if over is not None:
            return f"dominated by {over}: cheaper, and no worse in any figure that counts"
        return "as faithful as the best, but dearer than the recommended one"

    def sentence(self) -> str:
        """The recommendation with its figures."""
        chosen, best = self.chosen, self.best
        if chosen is None or best is None:
            return "No method is recommended: none has maps that change when the network forgets."
        told = (
            f"Use {chosen.method}: faithfulness {_told(chosen.figures['faithfulness'])}, "
            f"at {chosen.price:.3g} times the time of a bare prediction"
        )
        if chosen is not best:
            told += (
                f"; {best.method} has {_told(best.figures['faithfulness'])} at {best.price:.3g} "
                "times, and the images do not tell the two apart"
            )
        half = chosen.figures["half"]
        if half is not None:
            told += (
                f". When half of the network forgets, its maps keep a rank correlation of "
                f"{_told(half)} with what they were"
            )
        return told + "."


def measured(run: Run, method: str) -> Measured:
    """All that the run's parts say of a method, image by image."""
    shards = list(judged_shards(run, method))
    order = [row_id for judged in shards for row_id in judged.table["row_id"].to_pylist()]
    places = {row_id: place for place, row_id in enumerate(order)}
    values = {
        name: np.full(len(order), np.nan)
        for kind in (schema.SCORES, schema.MERITS, schema.TRIALS)
        for name in kind.names[1:]
    }
    for stage in ("scores", "merits", "trials"):
        for shard in run.shards:
            part = run.part(f"{stage}/{method}", shard)
            if part is not None:
                _fill(values, places, part)
    reliance = [judged.scores.score_B for judged in shards]
    maps = sum(read_footer(path).num_rows for path in run.folder.parts(f"maps/{method}"))
    return Measured(method, maps, values, np.concatenate([*reliance, np.zeros(0)]))


def _fill(values: dict[str, Floats], places: Mapping[str, int], part: pa.Table) -> None:
    """Each row of a part at its image's place."""
    place_n = [places[row_id] for row_id in part["row_id"].to_pylist()]
    for name in set(part.column_names) & values.keys():
        values[name][place_n] = part[name].cast(pa.float64()).to_numpy()


def rank(every: Sequence[Measured]) -> tuple[Ranking, list[MethodFigures]]:
    """All figures of all methods, and the recommendation that follows from them."""
    images = max((len(found.reliance_N) for found in every), default=0)
    drawn = Resampling.of(images)
    figures = {found.method: found.figures(drawn) for found in every}
    costs = {found.method: found.cost() for found in every}
    ranking = Ranking(
        [
            Rival(
                found.method,
                figures[found.method],
                _price(costs[found.method]),
                _sane(figures[found.method]["half"]),
                drawn.means(found.faithfulness_N),
            )
            for found in every
        ]
    )
    rows = [
        MethodFigures(
            method=found.method,
            images=found.images(),
            missing=images - found.maps,
            flat=found.maps - found.images(),
            cost=costs[found.method],
            figures=figures[found.method],
            sane=rival.sane,
            dominated_by=ranking.dominating(rival),
            verdict=ranking.verdict(rival),
        )
        for found, rival in zip(every, ranking.rivals, strict=True)
    ]
    return ranking, rows


def _price(cost: MethodCost) -> float:
    """Measured where it was; else by the passes, a backward counted as two."""
    if cost.times_forward is not None:
        return cost.times_forward
    return math.inf if cost.forwards is None else cost.forwards + 2 * (cost.backwards or 0)


def _sane(half: Interval | None) -> bool | None:
    return None if half is None else half.value < CHANGED


def _told(figure: Interval | None) -> str:
    if figure is None:
        return "unknown"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


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
