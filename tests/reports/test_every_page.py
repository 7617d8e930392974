"""What every page must keep, whatever it shows. test_browser.py looks at some with a browser."""

from __future__ import annotations

import pytest

from tests.support.html_page import Page, check_addresses, check_markup, check_words
from tests.support.pages import PAGES


@pytest.fixture(scope="module", params=sorted(PAGES))
def page(request: pytest.FixtureRequest) -> Page:
    return Page(PAGES[request.param]())


def test_only_our_own_markup_is_on_the_page(page: Page) -> None:
    check_markup(page)


def test_the_page_points_nowhere_but_to_itself(page: Page) -> None:
    check_addresses(page)


def test_no_missing_figure_shows_as_code_and_nothing_is_hidden(page: Page) -> None:
    check_words(page)
