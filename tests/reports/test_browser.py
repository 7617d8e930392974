"""The page as a browser shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.chromium import NARROW, WIDE, Browser
from tests.support.pages import PAGES

pytestmark = pytest.mark.full

SHOWN = ("audit", "audit, patterns", "methods", "pair", "release, refused")
HOSTILE = ("audit, hostile", "methods, hostile", "pair, hostile", "release, hostile")


@pytest.fixture(params=(*SHOWN, *HOSTILE))
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_scrolls_sideways(browser: Browser, page: Path, width: int) -> None:
    browser.open(page.as_uri(), width)
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.body.scrollWidth") <= width


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_complaint_and_no_request(browser: Browser, page: Path, width: int) -> None:
    browser.open(page.as_uri(), width)
    assert browser.named("Log.entryAdded") == []
    assert browser.named("Runtime.consoleAPICalled") == []
    assert browser.named("Runtime.exceptionThrown") == []
    urls = [sent["request"]["url"] for sent in browser.named("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [page.as_uri()]


def test_every_image_is_there(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri(), WIDE)
    widths = browser.value("JSON.stringify([...document.images].map(i => i.naturalWidth))")
    assert len(json.loads(widths)) == page.read_text().count("<img ")
    assert all(json.loads(widths))


def test_nothing_of_the_users_became_markup(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri(), WIDE)
    assert (
        browser.value("document.querySelectorAll('script, iframe, object, [onerror]').length") == 0
    )


def test_letters_are_dark_on_light_and_light_on_dark(browser: Browser, page: Path) -> None:
    assert _lightness_of_paper(browser, page, "light") > 200
    assert _lightness_of_paper(browser, page, "dark") < 60


FAINT = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = element => {
    for (; element; element = element.parentElement) {
      const found = parts(getComputedStyle(element).backgroundColor);
      if (found.length === 3) return found;
    }
  };
  const faint = [];
  for (const element of document.querySelectorAll("body, body *")) {
    const words = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join("");
    if (!words.trim() || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const ink = light(parts(element.closest("svg") ? style.fill : style.color));
    const [high, low] = [ink, light(paper(element))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(words.trim());
  }
  return JSON.stringify(faint);
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_stand_out_from_their_paper(browser: Browser, page: Path, scheme: str) -> None:
    """WCAG's 4.5 to 1."""
    browser.prefer(scheme)
    browser.open(page.as_uri(), WIDE)
    faint = browser.value(FAINT)
    browser.prefer("")
    assert json.loads(faint) == []


MEETING = """
(() => {
  const names = [...document.querySelectorAll(".method text")].map(e => e.getBoundingClientRect());
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
  return names.filter((a, i) => names.some((b, j) => j < i && meet(a, b))).length;
})()
"""


@pytest.mark.parametrize("width", [NARROW, 600, WIDE])
def test_names_in_a_plot_do_not_cover_each_other(browser: Browser, page: Path, width: int) -> None:
    browser.open(page.as_uri(), width)
    assert browser.value(MEETING) == 0


def test_a_click_selects_the_whole_command(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(PAGES["audit"](), encoding="utf-8")
    browser.open(page.as_uri(), NARROW)
    where = "document.querySelector('.command')"
    browser.value(f"{where}.scrollIntoView({{block: 'center'}})")
    left, top = json.loads(
        browser.value(
            f"(() => {{ const at = {where}.getClientRects()[0]; "
            "return JSON.stringify([at.left + at.width / 2, at.top + at.height / 2]) })()"
        )
    )
    browser.drag((left, top))
    assert browser.value("getSelection().toString()") == browser.value(f"{where}.textContent")


def _lightness_of_paper(browser: Browser, page: Path, scheme: str) -> int:
    browser.prefer(scheme)
    browser.open(page.as_uri(), WIDE)
    colour = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    browser.prefer("")
    return int(colour.removeprefix("rgb(").split(",")[0])
