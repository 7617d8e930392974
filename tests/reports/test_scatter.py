from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from reports.scatter import HEIGHT, LONGEST, legend_mark, points, scatter
from reports.scatter_labels import BEYOND, LINE, MARK, WIDTHS, Anchor, place_labels
from reports.visible_text import visible
from tasks.schema import MethodsSummary
from tests.support.audit_summaries import SPITEFUL
from tests.support.method_comparisons import (
    ORDINARY,
    comparison,
    cost,
    hostile_comparison,
    interval,
    method,
    no_cost,
    without_figures,
)


@dataclass(frozen=True)
class Drawn:
    """A method as it stands in the plot."""

    element: ElementTree.Element

    @property
    def group(self) -> ElementTree.Element:
        return self.element[0]

    @property
    def states(self) -> set[str]:
        return set(self.group.attrib["class"].split()) - {"mark"}

    @property
    def x(self) -> float:
        return float(self.element.attrib["x"].removesuffix("%"))

    @property
    def symbol(self) -> ElementTree.Element:
        return self.group.findall("g")[0]

    @property
    def position(self) -> tuple[float, float]:
        """Pixels beside x, and from the top."""
        inside = self.symbol.attrib["transform"].removeprefix("translate(").removesuffix(")")
        aside, down = inside.split()
        return float(aside), float(down)

    @property
    def shapes(self) -> set[str]:
        return {shape.attrib["class"] for shape in self.symbol}

    @property
    def word(self) -> ElementTree.Element:
        return self.group.findall("text")[0]

    def whisker(self) -> tuple[float, float]:
        (path,) = [it for it in self.group.findall("path") if it.attrib["class"] == "whisker"]
        top, bottom = path.attrib["d"].split()[1].split("M")[0].split("V")
        return float(top), float(bottom)


def plot(summary: MethodsSummary) -> ElementTree.Element:
    root = ElementTree.fromstring(scatter(points(summary)))
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    return root


def drawn(summary: MethodsSummary) -> dict[str, Drawn]:
    """By what is written beside the mark."""
    marks = [Drawn(element) for element in plot(summary).findall("svg")]
    return {str(mark.word.text): mark for mark in marks}


def ticks(root: ElementTree.Element) -> dict[str, float]:
    """What is written at the axis of faithfulness, and at which height."""
    lines = [line for line in root.findall("line") if line.get("x1") == "0"]
    words = [word for word in root.findall("text") if word.get("dx") == "-8"]
    return {
        str(word.text): float(line.attrib["y1"]) for line, word in zip(lines, words, strict=True)
    }


def test_a_mark_stands_at_its_cost_and_its_faithfulness() -> None:
    marks = drawn(comparison())
    x = {name: marks[name].x for name in ORDINARY}
    costs = {name: found[3] for name, found in ORDINARY.items()}
    tenfold = (x["rise:masks=500"] - x["vjp"]) / math.log10(508 / 2.2)
    for one, other in combinations(ORDINARY, 2):
        expected = tenfold * math.log10(costs[one] / costs[other])
        assert x[one] - x[other] == pytest.approx(expected, abs=0.03)
    heights = ticks(plot(comparison()))
    assert set(heights) >= {"0.20", "0.45"}
    across = (heights["0.20"] - heights["0.45"]) / 0.25
    for name, found in ORDINARY.items():
        expected = heights["0.20"] - across * (found[0] - 0.2)
        assert marks[name].position[1] == pytest.approx(expected, abs=0.15)
        half = (marks[name].whisker()[1] - marks[name].whisker()[0]) / 2
        assert half == pytest.approx(across * 0.028, abs=0.2)


def test_the_axis_of_cost_is_written_in_powers_and_all_is_inside() -> None:
    root = plot(comparison())
    below = [word for word in root.findall("text") if word.get("class") == "tick"]
    assert {"1×", "10×", "100×"} <= {word.text for word in below}
    for mark in drawn(comparison()).values():
        assert 0 < mark.x < 100
        assert 0 < mark.whisker()[0] < mark.whisker()[1] < HEIGHT


def test_shape_says_what_colour_says() -> None:
    marks = drawn(comparison())
    assert marks["ibisa"].states == {"recommended"}
    assert marks["ibisa"].shapes == {"ring", "solid"}
    assert marks["captum:GuidedBackprop"].states == {"failing"}
    assert marks["captum:GuidedBackprop"].shapes == {"hollow", "cross"}
    assert marks["vjp"].states == {"dominated"}
    ordinary, dominated = marks["iba"].symbol[0], marks["vjp"].symbol[0]
    assert float(dominated.attrib["r"]) < float(ordinary.attrib["r"])
    (untested,) = drawn(comparison(methods=(method("iba", sane=None),))).values()
    assert untested.symbol[0].tag == "rect"


def test_the_recommended_mark_lies_on_top() -> None:
    assert list(drawn(comparison()))[-1] == "ibisa"


def test_marks_of_one_cost_stand_side_by_side() -> None:
    names = ("one", "two", "three")
    marks = drawn(comparison(methods=tuple(method(name) for name in names)))
    assert {marks[name].x for name in names} == {50}
    assert [marks[name].position[0] for name in names] == [-9, 0, 9]


def test_the_description_has_every_figure() -> None:
    description = plot(comparison()).findtext("desc")
    assert "ibisa: 0.448 (0.420 to 0.476) at 41.0 times a forward pass" in str(description)


def test_a_method_without_cost_or_faithfulness_is_not_drawn() -> None:
    nothing = method("iba", figures={"faithfulness": None})
    odd = method("vjp", figures={"faithfulness": interval(math.nan)})
    free = method("ibisa", cost=cost(1.0).model_copy(update={"times_forward": 0.0}))
    names = [point.name for point in points(comparison(methods=(method("a"), nothing, odd, free)))]
    assert names == ["a"]


def test_where_no_time_was_taken_the_declared_passes_count() -> None:
    (found,) = points(comparison(methods=(method("vjp", cost=no_cost()),)))
    assert (found.cost, found.declared) == (3, True)
    assert points(comparison(methods=(method("vjp", cost=no_cost(None)),))) == []
    assert len(points(without_figures())) == 0


@pytest.mark.parametrize("times", [0.002, 1.0, 123456.0])
@pytest.mark.parametrize("half", [0.0, 0.4])
def test_one_method_alone(times: float, half: float) -> None:
    figures = {"faithfulness": interval(0.0, half)}
    alone = comparison(methods=(method("iba", figures=figures, cost=cost(times)),))
    (mark,) = drawn(alone).values()
    assert mark.x == pytest.approx(50)
    assert len(ticks(plot(alone))) >= 3


def test_hostile_names_stay_text() -> None:
    root = plot(hostile_comparison())
    assert root.find(".//script") is None
    shown = drawn(hostile_comparison())
    assert "(empty)" in shown
    assert max(map(len, shown)) <= LONGEST
    titles = [element.text for element in root.iter("title")]
    assert any(str(title).startswith(visible(SPITEFUL)) for title in titles)


@pytest.mark.parametrize("state", ["recommended", "failing", "untested", "dominated"])
def test_the_legend_has_the_marks_of_the_plot(state: str) -> None:
    (group,) = ElementTree.fromstring(legend_mark(state))
    assert set(group.attrib["class"].split()) == {"mark", state}


def boxes(named: Sequence[tuple[Anchor, float]], width: float) -> list[tuple[float, ...]]:
    """Of the names in a plot of such a width: left, top, right, bottom."""
    found: list[tuple[float, ...]] = []
    for (anchor, long), label in zip(named, place_labels(named, HEIGHT), strict=True):
        left = anchor.x * width / 100 + label.x - (long if label.side == "end" else 0)
        found.append((left, label.y - LINE / 2, left + long, label.y + LINE / 2))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [45.0, 12.0, 0.5])
def test_twelve_names_do_not_cover_each_other_at_any_width(seed: int, spread: float) -> None:
    """Also where all methods are alike; a name never leaves the plot."""
    random = np.random.default_rng(seed)
    named = []
    for _ in range(12):
        x, y = random.uniform(50 - spread, 50 + spread), random.uniform(-1, 1) * 3 * spread + 170
        half = random.uniform(5, 30)
        named.append((Anchor(x, 0.0, y, y - half, y + half), random.uniform(20, 145)))
    for width in (*WIDTHS, 500, 1000):
        found = boxes(named, width)
        for one, other in combinations(found, 2):
            across = min(one[2], other[2]) - max(one[0], other[0])
            down = min(one[3], other[3]) - max(one[1], other[1])
            assert across <= 1 or down <= 1, (width, one, other)
        for left, top, right, bottom in found:
            assert left >= -BEYOND - 8
            assert right <= width + BEYOND + 8
            assert 0 <= top < bottom <= HEIGHT


def test_a_name_alone_stands_right_beside_its_mark() -> None:
    (label,) = place_labels([(Anchor(30.0, 0.0, 100.0, 90.0, 110.0), 60.0)], HEIGHT)
    assert (label.side, label.y) == ("start", 100.0)
    assert label.x > MARK
    (label,) = place_labels([(Anchor(95.0, 0.0, 100.0, 90.0, 110.0), 60.0)], HEIGHT)
    assert (label.side, label.y) == ("end", 100.0)
