from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from reports import charts
from tasks.schema import Histogram, Interval, Rate, wilson

SPITEFUL = '<script>alert("1")</script>&\''
NOTHING = wilson(0, 0)


def parse_svg(svg: str) -> ElementTree.Element:
    """Well-formed, with its title and description first, as screen readers want them."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    return root


def kinds(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [element for element in root if element.get("class") == kind]


def at(element: ElementTree.Element, name: str) -> float:
    value = element.get(name)
    assert value is not None
    return float(value.removesuffix("%"))


@pytest.mark.parametrize(("high", "end"), [(0.03, 0.05), (0.05, 0.05), (0.2, 0.25), (0.51, 1.0)])
def test_the_axis_is_the_smallest_that_holds_the_intervals(high: float, end: float) -> None:
    rate = Rate(value=high / 2, low=0.0, high=high, count=1, of=2)
    assert charts.rate_axis_end([rate, NOTHING]) == end
    assert charts.rate_axis_end([]) == charts.SCALES[0]


def test_a_bar_ends_at_its_rate_and_its_whisker_at_its_interval() -> None:
    rate = Rate(value=0.2, low=0.1, high=0.4, count=2, of=10)
    root = parse_svg(charts.interval_bar(rate, "tent", end=0.5, reference=0.25))
    assert at(kinds(root, "bar")[0], "width") == pytest.approx(40)
    assert at(kinds(root, "whisker")[0], "x1") == pytest.approx(20)
    assert at(kinds(root, "whisker")[0], "x2") == pytest.approx(80)
    assert at(kinds(root, "reference")[0], "x1") == pytest.approx(50)
    assert root.findtext("title") == "tent: 20.0%"
    assert "2 of 10" in str(root.findtext("desc"))


def test_the_null_is_a_mark_on_the_bar_and_a_word() -> None:
    rate, null = wilson(50, 100), wilson(5, 100)
    root = parse_svg(charts.interval_bar(rate, "tent", end=0.5, null=null))
    assert at(kinds(root, "null")[0], "x1") == pytest.approx(10)
    assert "the null 5.0%" in str(root.findtext("desc"))
    assert not kinds(parse_svg(charts.interval_bar(rate, "tent", null=NOTHING)), "null")


def test_a_figure_over_images_is_drawn_like_a_rate() -> None:
    figure = Interval(value=0.467, low=0.447, high=0.486, of=1280)
    root = parse_svg(charts.interval_bar(figure, "flips"))
    assert at(kinds(root, "bar")[0], "width") == pytest.approx(46.7)
    assert "1,280; 95% interval 44.7 to 48.6%" in str(root.findtext("desc"))


def test_a_meter_is_filled_by_its_share() -> None:
    root = parse_svg(charts.meter(0.25, SPITEFUL))
    assert [at(box, "width") for box in root.findall("rect")] == [100, 25]
    assert SPITEFUL in str(root.findtext("title"))


def test_no_images_no_bar() -> None:
    root = parse_svg(charts.interval_bar(NOTHING, "tent"))
    assert kinds(root, "bar") == kinds(root, "whisker") == []
    assert root.findtext("title") == "tent: –"


def test_a_reference_beyond_the_axis_is_not_drawn() -> None:
    assert not kinds(parse_svg(charts.interval_bar(wilson(1, 99), "tent", 0.1, 0.5)), "reference")


def test_the_strip_is_filled_to_its_end_in_the_order_of_the_flags() -> None:
    counts = {"undecided": 1, "mixed": 2, "rests_on_object": 3, "rests_on_background": 4}
    root = parse_svg(charts.flag_strip({flag: wilson(count, 10) for flag, count in counts.items()}))
    boxes = root.findall("rect")
    assert [box.get("class") for box in boxes] == list(counts)[::-1]
    assert at(boxes[-1], "x") + at(boxes[-1], "width") == pytest.approx(100)


def test_a_strip_of_nothing_has_no_width() -> None:
    for flags in ({}, {"mixed": NOTHING}):
        boxes = parse_svg(charts.flag_strip(flags)).findall("rect")
        assert {at(box, "width") for box in boxes} <= {0.0}


LIFTS = Histogram(edges=(0.0, 0.5, 1.0, 1.5, 2.0), counts=(10, 40, 0, 20))


def test_bins_stand_on_the_axis_with_heights_as_their_counts() -> None:
    boxes = kinds(parse_svg(charts.lift_histogram(LIFTS, "gradcam")), "count")
    assert [at(box, "x") for box in boxes] == [0, 25, 75]  # an empty bin draws nothing
    heights = [at(box, "height") for box in boxes]
    assert heights == pytest.approx([charts.PLOT / 4, charts.PLOT, charts.PLOT / 2])
    assert {at(box, "y") + at(box, "height") for box in boxes} == {charts.PLOT + 20}


@pytest.mark.parametrize(("end", "anchor"), [(2.0, "start"), (1.1, "end")])
def test_chance_is_a_line_with_its_word_inside(end: float, anchor: str) -> None:
    root = parse_svg(charts.lift_histogram(Histogram(edges=(0.0, end), counts=(3,)), "gradcam"))
    assert at(kinds(root, "chance")[0], "x1") == pytest.approx(100 / end, abs=0.01)
    assert kinds(root, "chance-word")[0].get("text-anchor") == anchor


def test_chance_beyond_the_axis_is_not_drawn() -> None:
    histogram = Histogram(edges=(0.0, 0.5), counts=(3,))
    assert not kinds(parse_svg(charts.lift_histogram(histogram, "gradcam")), "chance")


def test_the_last_bin_says_that_it_holds_everything_above() -> None:
    ticks = [tick.text for tick in kinds(parse_svg(charts.lift_histogram(LIFTS, "x")), "tick")]
    assert ticks == ["0", "0.25", "0.5", "0.75", "1", "1.25", "1.5", "1.75", "2+"]


@pytest.mark.parametrize(
    "histogram",
    [
        Histogram(edges=(0.0, 1.0, math.inf), counts=(1, 2)),
        Histogram(edges=(0.0, math.inf), counts=(3,)),
        Histogram(edges=(0.0, 0.5), counts=(0,)),
        Histogram(edges=(0.0, 70.0), counts=(1,)),
    ],
)
def test_odd_histograms_are_drawn(histogram: Histogram) -> None:
    svg = charts.lift_histogram(histogram, "gradcam")
    parse_svg(svg)
    assert "inf" not in svg
    assert "nan" not in svg


def test_what_the_user_named_stays_text() -> None:
    for svg in (
        charts.interval_bar(wilson(1, 2), SPITEFUL),
        charts.lift_histogram(LIFTS, SPITEFUL),
    ):
        root = parse_svg(svg)
        assert SPITEFUL in str(root.findtext("title"))
        assert root.find(".//script") is None


def test_an_axis_has_its_two_ends() -> None:
    ticks = [tick.text for tick in kinds(parse_svg(charts.rate_axis(0.05)), "tick")]
    assert ticks == ["0%", "2.5%", "5%"]
