"""The page about scaling says what the kept costs foretell, and its picture is theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.scaling.foretell import (
    cases,
    draw_scaling,
    table_of_limits,
    table_of_workers,
)
from benchmarks.scaling.measured_costs import MeasuredCosts, read_costs
from benchmarks.scaling.picture import Line, draw

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def measured() -> MeasuredCosts:
    return read_costs()


def test_the_page_has_the_tables(measured: MeasuredCosts) -> None:
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    assert table_of_workers(measured) in page
    assert table_of_limits(measured) in page


def test_the_page_has_the_picture(measured: MeasuredCosts) -> None:
    drawn = draw_scaling(measured)
    assert (DOCS / "scaling.svg").read_text(encoding="utf-8") == drawn


def test_the_busier_of_coordinator_and_scheduler_decides(measured: MeasuredCosts) -> None:
    (name, *_) = measured.image
    slow = replace(measured, scheduler=1.0)
    assert slow.of(name).dispatch == 1.0
    assert slow.of_local(name).dispatch == 1.0 + measured.coordinator


def test_lines_end_where_the_plot_ends() -> None:
    lines = [Line(f"<{n}>", ((1, 0.1), (8, 8.0), (4_096, 1e9)), 1.0) for n in range(3)]
    picture = ElementTree.fromstring(draw(lines))
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    numbers = [
        tuple(map(float, corner.split(",")))
        for line in picture.iter("{http://www.w3.org/2000/svg}polyline")
        for corner in line.attrib["points"].split()
    ]
    assert len(numbers) == 3 * (2 + 2)  # perfect scaling, and what is inside of each line
    assert all(0 <= x <= width and 0 <= y <= height for x, y in numbers)
    texts = [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<0>", "<1>", "<2>"} <= set(texts)


def test_s3_costs_a_shard_what_its_requests_take(measured: MeasuredCosts) -> None:
    *_, fast, on_s3 = cases(measured).values()
    assert on_s3.image == fast.image == 0.002
    assert on_s3.shard - fast.shard == pytest.approx(0.02 * measured.requests_per_shard)
