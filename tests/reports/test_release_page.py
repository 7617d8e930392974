"""The page of a release as text. test_browser.py looks at it with a browser."""

from __future__ import annotations

import pytest
from gate_specimens import hostile_result, let_through, refused
from html_page import OURS, Page, assert_points_to_itself, assert_says_all_in_words

from reports.gated import render_gate

MARKUP = {*OURS.split(), "wbr"}
PAGES = {"refused": refused, "let through": let_through, "hostile": hostile_result}


@pytest.fixture(scope="module", params=sorted(PAGES))
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render_gate(PAGES[request.param]()))


def test_only_our_own_markup_is_on_the_page(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= MARKUP
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


def test_the_page_points_nowhere_but_to_itself(page: Page) -> None:
    assert_points_to_itself(page)


def test_no_missing_figure_shows_as_code_and_nothing_is_hidden(page: Page) -> None:
    assert_says_all_in_words(page)


def test_what_refuses_comes_first() -> None:
    text = Page(render_gate(refused())).text
    order = (
        "Refused.",
        "Refused by 2 of 4 rules, 1 with a warning. Alias champion stays version 5.",
        "Champion models:/birds/5",
        "3. flips is at most 3%",
        "over 1,280 images: none of it is broken",
        "4. flips is at most 4%",
        "not computed",
        "2. flips is at most 2%",
        "warning: undecided",
        "1. flips is at most 1%",
        "compare.html beside this file",
        "Champion: run folder runs/models:/birds/5",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_without_a_champion_no_comparison_is_promised() -> None:
    text = Page(render_gate(let_through())).text
    assert "Passed." in text
    assert "Champion none to compare with" in text
    assert "not judged" in text
    assert "compare.html" not in text
    assert "Champion: run folder" not in text
