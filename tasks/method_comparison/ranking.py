"""Which attribution method to use, by a written rule. Shapes: R draws of the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.intervals.bootstrap import Draws, Floats
from tasks.method_comparison.figures import MethodMeasurements
from tasks.schema import Interval, MethodFigures

CHANGED = 0.5  # a sane map's rank correlation is below this when half of the network is randomised
COMPARED = ("faithfulness", "lift", "stability")  # where a dominating method must be no worse
RULE = (
    "Of the methods whose maps change when the upper half of the network is randomised (rank "
    f"correlation below {CHANGED:g}), those whose faithfulness cannot be told from the best one's "
    "(the 95% interval of the difference reaches 0) count as equally good; of these the cheapest "
    "that no other dominates (cheaper and no worse in faithfulness, lift and stability) is "
    "recommended. "
    "Faithfulness is the area under the insertion curve from a blurred picture minus that under "
    "the deletion curve to the data's mean."
)


@dataclass(frozen=True)
class RankedMethod:
    """A method with everything that the recommendation considers."""

    method: str
    figures: Mapping[str, Interval | None]
    price: float  # times a bare forward pass
    sane: bool | None
    faithfulness_R: Floats  # the mean in each draw

    def value(self, name: str) -> float:
        figure = self.figures[name]
        return np.nan if figure is None else figure.value

    def dominates(self, other: RankedMethod) -> bool:
        """Cheaper, and no worse in any compared figure that both have."""
        compared = [
            name for name in COMPARED if None not in (self.figures[name], other.figures[name])
        ]
        return (
            self.sane is not False
            and self.price < other.price
            and bool(compared)
            and all(self.value(name) >= other.value(name) for name in compared)
        )

    def is_as_good_as(self, best: RankedMethod) -> bool:
        """Whether the interval of the paired difference reaches zero."""
        low = np.nanquantile(best.faithfulness_R - self.faithfulness_R, 0.025)
        return self is best or bool(low <= 0)


@dataclass(frozen=True)
class Ranking:
    """The methods, and the one to use."""

    methods: Sequence[RankedMethod]

    @cached_property
    def eligible(self) -> list[RankedMethod]:
        return [
            method
            for method in self.methods
            if method.sane is not False and method.figures["faithfulness"]
        ]

    @cached_property
    def best(self) -> RankedMethod | None:
        return max(self.eligible, key=lambda method: method.value("faithfulness"), default=None)

    @cached_property
    def recommended(self) -> RankedMethod | None:
        if self.best is None:
            return None
        good = [method for method in self.eligible if method.is_as_good_as(self.best)]
        undominated = (method for method in good if not self.dominating(method))
        return min(undominated, key=lambda method: method.price, default=self.best)

    def dominating(self, method: RankedMethod) -> str | None:
        """The cheapest method that dominates it."""
        over = [other for other in self.methods if other.dominates(method)]
        return min(over, key=lambda other: other.price).method if over else None

    def verdict(self, method: RankedMethod) -> str:
        """Why it is recommended, or not."""
        if not method.figures["faithfulness"]:
            return "there is no map to judge"
        if method.sane is False:
            half = method.figures["half"]
            return (
                "its maps hardly change when half of the network is randomised (rank correlation "
                f"{_format(half)})"
            )
        if method is self.recommended:
            return "recommended"
        assert self.best is not None
        if not method.is_as_good_as(self.best):
            return f"less faithful than {self.best.method}"
        over = self.dominating(method)
        if over is not None:
            return f"dominated by {over}: cheaper, and no worse in faithfulness, lift and stability"
        return "as faithful as the best, but more expensive than the recommended one"

    def sentence(self) -> str:
        """The recommendation with its figures."""
        recommended, best = self.recommended, self.best
        if recommended is None or best is None:
            return (
                "No method is recommended: none has maps that change when half of the network is "
                "randomised."
            )
        sentence = (
            f"Use {recommended.method}: faithfulness "
            f"{_format(recommended.figures['faithfulness'])}, at {recommended.price:.3g} times the "
            "time of a bare prediction"
        )
        if recommended is not best:
            sentence += (
                f"; {best.method} has {_format(best.figures['faithfulness'])} at {best.price:.3g} "
                "times, and these images do not tell the two apart"
            )
        half = recommended.figures["half"]
        if half is not None:
            sentence += (
                f". When half of the network is randomised, its maps keep a rank correlation of "
                f"{_format(half)} with the original ones"
            )
        return sentence + "."


def rank_methods(
    measured: Sequence[MethodMeasurements],
) -> tuple[Ranking, list[MethodFigures]]:
    """The recommendation, and every figure of every method."""
    images = max((len(method.reliance_N) for method in measured), default=0)
    draws = Draws.of(images)
    figures = {method.method: method.figures(draws) for method in measured}
    costs = {method.method: method.cost() for method in measured}
    ranking = Ranking(
        [
            RankedMethod(
                method.method,
                figures[method.method],
                costs[method.method].price,
                _is_sane(figures[method.method]["half"]),
                draws.means(method.faithfulness_N),
            )
            for method in measured
        ]
    )
    rows = [
        MethodFigures(
            method=method.method,
            images=method.images(),
            missing=images - method.maps,
            flat=method.maps - method.images(),
            cost=costs[method.method],
            figures=figures[method.method],
            sane=ranked.sane,
            dominated_by=ranking.dominating(ranked),
            verdict=ranking.verdict(ranked),
        )
        for method, ranked in zip(measured, ranking.methods, strict=True)
    ]
    return ranking, rows


def _is_sane(half: Interval | None) -> bool | None:
    return None if half is None else half.value < CHANGED


def _format(figure: Interval | None) -> str:
    if figure is None:
        return "unknown"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
