"""What every page beside the audit's own must keep, whatever it shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reports.gate_page import render_gate
from reports.methods_page import render_methods
from reports.models_page import render_models
from tests.support.gate_specimens import hostile_result, let_through, refused
from tests.support.html_page import OURS, Page, assert_points_to_itself, assert_says_all_in_words
from tests.support.methods_specimens import (
    comparison,
    gallery,
    hostile_comparison,
    hostile_gallery,
    method,
    without_figures,
    without_recommendation,
)
from tests.support.paired_specimens import hostile_pair, nothing_compared, paired, paired_examples

MARKUP = {*OURS.split(), "g", "circle", "path", "wbr"}
TWELVE = comparison(methods=tuple(method(f"captum:Method{place}") for place in range(12)))
ONE = comparison(methods=(method("grad_cam"),), recommended="grad_cam")
PAGES: dict[str, Callable[[], str]] = {
    "methods": lambda: render_methods(comparison(), gallery(comparison())),
    "methods, hostile": lambda: render_methods(hostile_comparison(), hostile_gallery()),
    "methods, none recommended": lambda: render_methods(
        without_recommendation(), gallery(without_recommendation())
    ),
    "methods, one without figures": lambda: render_methods(without_figures(), []),
    "methods, none": lambda: render_methods(comparison(methods=(), recommended=None), []),
    "methods, twelve": lambda: render_methods(TWELVE, gallery(TWELVE, images=2)),
    "methods, twelve images": lambda: render_methods(ONE, gallery(ONE, images=12)),
    "pair": lambda: render_models(paired(), paired_examples(paired())),
    "pair, hostile": lambda: render_models(hostile_pair(), paired_examples(hostile_pair())),
    "pair, nothing compared": lambda: render_models(nothing_compared(), []),
    "release, refused": lambda: render_gate(refused()),
    "release, let through": lambda: render_gate(let_through()),
    "release, hostile": lambda: render_gate(hostile_result()),
}


@pytest.fixture(scope="module", params=sorted(PAGES))
def page(request: pytest.FixtureRequest) -> Page:
    return Page(PAGES[request.param]())


def test_only_our_own_markup_is_on_the_page(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= MARKUP
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


def test_the_page_points_nowhere_but_to_itself(page: Page) -> None:
    assert_points_to_itself(page)


def test_no_missing_figure_shows_as_code_and_nothing_is_hidden(page: Page) -> None:
    assert_says_all_in_words(page)
