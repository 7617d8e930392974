"""Which attribution method to use, by a written rule. Shapes: R draws of the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.intervals.bootstrap import Draws, Floats
from tasks.method_comparison.figures import MethodMeasurements
from tasks.schema import Interval, MethodFigures

CHANGED = 0.5  # rank correlation that a map must fall below when half of the network forgets
COMPARED = ("faithfulness", "lift", "stability")  # in which one method may be no worse than another
RULE = (
    "Of the methods whose maps change when the upper half of the network forgets (rank "
    f"correlation below {CHANGED:g}), those whose faithfulness is within the 95% interval of the "
    "best's are as good as the best can be told from here; of these the cheapest that no other "
    "dominates (cheaper and no worse in faithfulness, lift and stability) is recommended. "
    "Faithfulness is the area under the insertion curve from a blurred picture minus that under "
    "the deletion curve to the data's mean."
)


@dataclass(frozen=True)
class RankedMethod:
    """A method with what the recommendation asks of it."""

    method: str
    figures: Mapping[str, Interval | None]
    price: float  # times a bare forward pass
    sane: bool | None
    faithfulness_R: Floats  # mean of each draw

    def value(self, name: str) -> float:
        figure = self.figures[name]
        return np.nan if figure is None else figure.value

    def dominates(self, other: RankedMethod) -> bool:
        """Cheaper, and no worse in any figure that counts."""
        counted = [
            name for name in COMPARED if None not in (self.figures[name], other.figures[name])
        ]
        return (
            self.sane is not False
            and self.price < other.price
            and bool(counted)
            and all(self.value(name) >= other.value(name) for name in counted)
        )

    def is_as_good_as(self, best: RankedMethod) -> bool:
        """Does the interval of the paired difference reach down to zero?"""
        low = np.nanquantile(best.faithfulness_R - self.faithfulness_R, 0.025)
        return self is best or bool(low <= 0)


@dataclass(frozen=True)
class Ranking:
    """The rivals, and the one to use."""

    rivals: Sequence[RankedMethod]

    @cached_property
    def eligible(self) -> list[RankedMethod]:
        return [r for r in self.rivals if r.sane is not False and r.figures["faithfulness"]]

    @cached_property
    def best(self) -> RankedMethod | None:
        return max(self.eligible, key=lambda rival: rival.value("faithfulness"), default=None)

    @cached_property
    def chosen(self) -> RankedMethod | None:
        if self.best is None:
            return None
        good = [r for r in self.eligible if r.is_as_good_as(self.best)]
        free = (rival for rival in good if not self.dominating(rival))
        return min(free, key=lambda rival: rival.price, default=self.best)

    def dominating(self, rival: RankedMethod) -> str | None:
        """The cheapest method that dominates it."""
        over = [other for other in self.rivals if other.dominates(rival)]
        return min(over, key=lambda other: other.price).method if over else None

    def verdict(self, rival: RankedMethod) -> str:
        """Why it is recommended, or not."""
        if not rival.figures["faithfulness"]:
            return "no map to judge"
        if rival.sane is False:
            half = rival.figures["half"]
            return (
                f"its maps stay when half of the network forgets (rank correlation {_format(half)})"
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
        sentence = (
            f"Use {chosen.method}: faithfulness {_format(chosen.figures['faithfulness'])}, "
            f"at {chosen.price:.3g} times the time of a bare prediction"
        )
        if chosen is not best:
            sentence += (
                f"; {best.method} has {_format(best.figures['faithfulness'])} at {best.price:.3g} "
                "times, and the images do not tell the two apart"
            )
        half = chosen.figures["half"]
        if half is not None:
            sentence += (
                f". When half of the network forgets, its maps keep a rank correlation of "
                f"{_format(half)} with what they were"
            )
        return sentence + "."


def rank_methods(every: Sequence[MethodMeasurements]) -> tuple[Ranking, list[MethodFigures]]:
    """All figures of all methods, and the recommendation that follows from them."""
    images = max((len(found.reliance_N) for found in every), default=0)
    draws = Draws.of(images)
    figures = {found.method: found.figures(draws) for found in every}
    costs = {found.method: found.cost() for found in every}
    ranking = Ranking(
        [
            RankedMethod(
                found.method,
                figures[found.method],
                costs[found.method].price,
                _is_sane(figures[found.method]["half"]),
                draws.means(found.faithfulness_N),
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


def _is_sane(half: Interval | None) -> bool | None:
    return None if half is None else half.value < CHANGED


def _format(figure: Interval | None) -> str:
    if figure is None:
        return "unknown"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
