"""`sightline open` as a browser shows it: what can be seen and done on its page."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from benchmarks.chromium import NARROW, WIDE, Point
from benchmarks.explorer.open_command import open_explorer
from tests.support.explorer_page import ExplorerPage, view_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.full

IMAGES = 192
TABS = ("grid", "plot", "patterns", "scenarios", "changes")
SHOWN = (
    "[...document.querySelectorAll('.tile:not([hidden])')].map(e => e.tile)"
    ".sort((a, b) => a.index - b.index)"
)
HOLD = """(() => {
  const ask = fetch;
  const held = new Promise(release => { window.release = release });
  const wait = (url) => `${url}`.startsWith("%s") ? held : Promise.resolve();
  window.fetch = (url, how) => wait(url).then(() => ask(url, how));
})()"""  # the answers to a question, until they are released
OPEN = "document.querySelector('#panel:not([hidden]) #panel-title')?.textContent"


def test_it_opens_with_every_picture(page: ExplorerPage) -> None:
    page.visit()
    page.wait_for_count(IMAGES, IMAGES)
    assert page.browser.value("document.title") == "now · Sightline"
    page.wait_for_layers("picture", "map")
    rows = page.ask("api/rows", limit=20)["rows"]
    shown = page.browser.value(f"{SHOWN}.slice(0, 20).map(it => it.row.row_id)")
    assert shown == [row["row_id"] for row in rows]


def test_a_click_on_a_value_filters_and_back_and_forward_restore_the_view(
    page: ExplorerPage,
) -> None:
    wrong = images_of(page, values_of("correct", "false"))
    assert 0 < wrong < IMAGES
    page.visit()
    page.click(".value", "wrong")
    page.wait_for_count(wrong, IMAGES)
    assert page.text(".chip .name") == "right or wrong: wrong"
    page.browser.value("history.back()")
    page.wait_for_count(IMAGES, IMAGES)
    page.browser.value("history.forward()")
    page.wait_for_count(wrong, IMAGES)
    page.click(".chip button")
    page.wait_for_count(IMAGES, IMAGES)


def test_a_histogram_is_brushed_and_one_step_back_takes_the_brush_away(page: ExplorerPage) -> None:
    page.visit()
    page.browser.until("document.querySelector('.histogram .all[d]') !== null")
    left, top, width, height = page.box(".histogram")
    places = [(left + width * part / 10, top + height / 2) for part in (2, 3, 5, 6)]
    page.browser.drag(*places)
    page.browser.until("location.hash.includes('range')")
    (condition,) = page.conditions()
    assert condition["kind"] == "range"
    assert condition["low"] < condition["high"]
    page.wait_for_count(images_of(page, condition), IMAGES)
    page.browser.value("history.back()")
    page.wait_for_count(IMAGES, IMAGES)


def test_the_search_finds_row_ids(page: ExplorerPage) -> None:
    page.visit()
    page.browser.press("/")
    page.type("0001")
    found = images_of(page, {"kind": "text", "column": None, "text": "0001"})
    page.wait_for_count(found, IMAGES)
    assert 10 <= found < IMAGES
    page.browser.press(*["Backspace"] * 4)
    page.wait_for_count(IMAGES, IMAGES)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_images_are_sorted_by_a_column(page: ExplorerPage, order: str) -> None:
    page.visit()
    while page.browser.value("document.querySelector('#sort').value") != "score":
        page.focus("#sort")
        page.browser.press("ArrowDown")
    if order == "asc":
        page.click("#toolbar button", "high first")
    rows = page.ask("api/rows", sort="score", order=order, limit=20)["rows"]
    ids = json.dumps([row["row_id"] for row in rows])
    page.browser.until(
        f"JSON.stringify({SHOWN}.slice(0, 20).map(it => it.row.row_id)) === JSON.stringify({ids})"
    )
    assert page.text(".tile .second").startswith("score ")


def test_an_image_is_opened_by_key_and_so_are_its_neighbours(page: ExplorerPage) -> None:
    first, second = (row["row_id"] for row in page.ask("api/rows", limit=2)["rows"])
    page.visit()
    page.browser.press("g", "Enter")
    page.browser.until(f"{OPEN} === '{first}'")
    for title in ("How the score came about", "Maps", "Nearest images", "All values"):
        assert page.text(".panel h3", title) == title
    page.browser.press("j")
    page.browser.until(f"{OPEN} === '{second}'")
    page.browser.press("ArrowLeft")
    page.browser.until(f"{OPEN} === '{first}'")
    page.browser.press("Escape")
    page.browser.until(f"{OPEN} === undefined")
    page.browser.value("history.back()")
    page.browser.until(f"{OPEN} === '{first}'")


def test_maps_and_outlines_are_switched_by_key_and_by_click(page: ExplorerPage) -> None:
    page.visit()
    page.wait_for_layers("picture", "map")
    for switch, key, layer in (("Map", "m", "map"), ("Outline", "o", "outline")):
        shown = f"document.querySelector('.tile .{layer}[src]') !== null"
        was = page.browser.value(shown)
        page.browser.press(key)
        page.browser.until(f"({shown}) !== {json.dumps(was)}")
        page.click("#toolbar .switch", switch)
        page.browser.until(f"({shown}) === {json.dumps(was)}")
    page.click("#toolbar .switch", "Outline")
    page.wait_for_layers("outline", "map")
    assert page.browser.value("document.querySelector('.tile .outline[src]') !== null")


def test_points_of_the_plot_are_chosen_by_drawing_around_them(page: ExplorerPage) -> None:
    page.visit(view_of(tab="plot"))
    page.browser.until("document.querySelector('.plot-frame').ariaBusy === 'false'")
    left, top, width, height = page.box(".lasso-room")
    corners = [(0.3, 0.02), (0.02, 0.3), (0.02, 0.98), (0.5, 0.98), (0.5, 0.02), (0.3, 0.02)]
    page.browser.drag(*along([(left + x * width, top + y * height) for x, y in corners]))
    page.browser.until("location.hash.includes('lasso')")
    (condition,) = page.conditions()
    inside = images_of(page, condition)
    assert 0 < inside < IMAGES
    page.wait_for_count(inside, IMAGES)
    page.click("button", "Show in the grid")
    page.browser.until(f"{SHOWN}.length > 0")
    page.browser.value("history.go(-2)")
    page.wait_for_count(IMAGES, IMAGES)


def test_a_point_of_the_plot_is_opened_by_a_click(page: ExplorerPage) -> None:
    page.visit(view_of(tab="plot"))
    page.browser.until("document.querySelector('.plot-frame').ariaBusy === 'false'")
    points = page.ask("api/plot", space="object", colour="flag")["points"]
    left, top, width, height = page.box(".lasso-room")
    edge = 10  # px around the points
    x, y = points["x"][7] / 65535, points["y"][7] / 65535
    place = (left + edge + x * (width - 2 * edge), top + edge + (1 - y) * (height - 2 * edge))
    page.browser.drag(place)
    near = page.ask("api/nearby", space="object", x=x, y=y)["row_id"]
    page.browser.until(f"{OPEN} === '{near}'")
    assert page.browser.value(OPEN) == near


def test_a_scenario_is_saved_applied_and_deleted(
    page: ExplorerPage, explored_runs: tuple[Path, Path]
) -> None:
    name = 'night, "snow" <b>&'
    wrong = values_of("correct", "false")
    page.visit(view_of(tab="scenarios", filter=[wrong]))
    page.click("#scenario-name")
    page.type(name)
    page.browser.press("Enter")
    page.browser.until(
        f"document.querySelector('.figures').textContent.includes({json.dumps(name)})"
    )
    (saved,) = page.ask("api/scenarios")
    assert saved["filter"]["conditions"] == [wrong]
    assert (explored_runs[0] / "scenarios.json").is_file()
    page.click(".chip button")
    page.wait_for_count(IMAGES, IMAGES)
    page.click("button", f"Apply {name}")
    page.wait_for_count(images_of(page, wrong), IMAGES)
    page.click("#tab-scenarios")
    page.click("button", f"Delete {name}")
    page.browser.until("!document.querySelector('.figures').textContent.includes('night')")
    assert page.ask("api/scenarios") == []


def test_scenarios_are_shown_although_the_filter_changes_before_they_come(
    page: ExplorerPage,
) -> None:
    scenarios = f"{page.explorer.address}api/scenarios"
    conditions = {"conditions": [values_of("correct", "false")]}
    httpx.post(scenarios, json={"name": "night", "filter": conditions}).raise_for_status()
    page.visit()
    page.browser.value(HOLD % "api/scenarios")
    page.click("#tab-scenarios")
    page.click(".value", "wrong")
    page.wait_for_count(images_of(page, values_of("correct", "false")), IMAGES)
    page.browser.value("release()")
    page.browser.until("document.querySelector('.figures')?.textContent.includes('night')")
    assert page.text(".figures tbody tr:nth-child(2) .n").strip() == str(IMAGES)
    httpx.delete(scenarios, params={"name": "night"}).raise_for_status()


def test_a_page_of_an_ended_command_says_which_address_to_open(page: ExplorerPage) -> None:
    page.visit()
    page.browser.value("fetch = () => Promise.resolve(new Response(null, { status: 403 }))")
    page.click(".value", "wrong")
    page.browser.until("!document.querySelector('#error').hidden")
    assert "`sightline open` has printed since" in page.text("#error", "address")


def test_a_pattern_leads_to_its_images(page: ExplorerPage) -> None:
    patterns = page.ask("api/patterns")
    page.visit()
    page.click("#tab-patterns")
    assert page.browser.value("document.querySelectorAll('.pattern').length") == len(patterns)
    page.click(".pattern button", "Show its images")
    page.wait_for_count(patterns[0]["images"], IMAGES)


def test_two_runs_lie_over_each_other_and_what_changed_leads_to_its_images(
    page: ExplorerPage,
) -> None:
    page.visit()
    page.browser.press("g", "Enter")
    slider = "document.querySelector('.uncover input')"
    page.browser.until(f"{slider} !== null")
    page.focus(".uncover input")
    page.browser.press("End")
    uncovered = "document.querySelector('.large').style.getPropertyValue('--uncovered')"
    assert page.browser.value(uncovered) == "100%"
    page.browser.until(
        "[...document.querySelectorAll('.large .picture')].map(e => e.complete && e.naturalWidth)"
        ".every(width => width > 0)"
    )
    page.browser.press("Escape", "Escape")  # the slider's focus, then the image
    page.click("#tab-changes")
    broken = images_of(page, values_of("change", "broken"))
    page.browser.until(f"document.querySelector('.door .figure').textContent === '{broken}'")
    page.click(".door", "broken")
    page.wait_for_count(broken, IMAGES)


def test_the_selection_is_downloaded(page: ExplorerPage, tmp_path: Path) -> None:
    wrong = values_of("correct", "false")
    page.browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.visit(view_of(filter=[wrong], sort="score"))
    page.click("summary", "Take out")
    page.click("a", "CSV")
    file = tmp_path / "selection.csv"
    assert wait_until(file.is_file)
    question = {"filter": filter_of(wrong), "sort": "score", "order": "desc", "limit": 500}
    expected = [row["row_id"] for row in page.ask("api/rows", **question)["rows"]]
    with file.open() as rows:
        assert [row["row_id"] for row in csv.DictReader(rows)] == expected


# What a mouse could use: visible, enabled, and no part of something that is.
USABLE = """
(() => [...document.querySelectorAll(
  "button, a[href], input, select, summary, [role=slider], [role=option], .lasso-room")]
  .filter(e => !e.disabled && e.checkVisibility({ visibilityProperty: true })))()
"""
HOLDER = "'[role=tablist], [role=listbox]'"  # one stop for all that the arrows reach


@pytest.mark.parametrize("tab", [*TABS, "panel"])
def test_everything_is_reached_by_keyboard_alone(page: ExplorerPage, tab: str) -> None:
    first = page.ask("api/rows", limit=1)["rows"][0]["row_id"]
    page.visit(view_of(open=first) if tab == "panel" else view_of(tab=tab))
    if tab == "panel":
        page.browser.until("document.querySelector('.panel h3') !== null")
    page.browser.value("window.reached = new Set()")
    rounds = 0
    while rounds < 3:  # the first starts anywhere, and what it unveils may lie behind it
        page.browser.press("Tab")
        page.browser.value("void reached.add(document.activeElement)")
        rounds += page.browser.value("document.activeElement === document.body")
    left = page.browser.value(
        f"{USABLE}.filter(e => !reached.has(e) && !(e.closest({HOLDER}) && "
        f"[...reached].some(one => one.closest({HOLDER}) === e.closest({HOLDER}))))"
        ".map(e => e.outerHTML.slice(0, 200))"
    )
    assert left == []
    invisible = page.browser.value(
        "[...reached].filter(e => !e.checkVisibility()).map(e => e.outerHTML.slice(0, 200))"
    )
    assert invisible == []


def test_a_lasso_is_drawn_by_keys(page: ExplorerPage) -> None:
    page.visit(view_of(tab="plot"))
    page.browser.until("document.querySelector('.plot-frame').ariaBusy === 'false'")
    page.focus(".lasso-room")
    way = (("ArrowLeft", 5), ("ArrowDown", 5), ("ArrowRight", 5), ("ArrowUp", 10))
    for key, steps in way:
        page.browser.press(*[key] * steps, shift=True)
        page.browser.press(" ")
    page.browser.press("Enter")
    page.browser.until("location.hash.includes('lasso')")
    (condition,) = page.conditions()
    assert condition["kind"] == "lasso"
    page.wait_for_count(images_of(page, condition), IMAGES)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("tab", [*TABS, "panel", "filters"])
def test_nothing_scrolls_sideways(page: ExplorerPage, tab: str, width: int) -> None:
    first = page.ask("api/rows", limit=1)["rows"][0]["row_id"]
    page.visit(view_of(open=first) if tab == "panel" else view_of(tab=tab), width)
    if tab == "filters" and width == NARROW:
        page.click("#filters-button")
    if tab == "panel":
        page.browser.until("document.querySelector('.panel h3') !== null")
    assert page.browser.value("innerWidth") == width
    assert page.browser.value("document.documentElement.scrollWidth") <= width
    wider = page.browser.value(
        "[...document.querySelectorAll('.scrolls, .panel-content, .columns, .grid, .top')]"
        ".filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth).map(e => e.className)"
    )
    assert wider == []


def test_it_is_dark_where_that_is_preferred(page: ExplorerPage) -> None:
    lightness = []
    for scheme in ("light", "dark"):
        page.browser.prefer(scheme)
        page.visit()
        colour = "getComputedStyle(document.documentElement).backgroundColor"
        lightness.append(int(page.browser.value(colour).removeprefix("rgb(").split(",")[0]))
    page.browser.prefer("")
    assert lightness[0] > 200
    assert lightness[1] < 60


def test_an_address_shows_the_same_view_to_a_colleague(page: ExplorerPage) -> None:
    wrong = values_of("correct", "false")
    page.visit(view_of(filter=[wrong], sort="score", order="asc"))
    page.wait_for_count(images_of(page, wrong), IMAGES)
    link = page.browser.value("location.href").replace(
        page.explorer.address, "http://127.0.0.1:9/x/"
    )
    page.visit()
    page.click("#search")
    page.browser.call("Input.insertText", text=link)
    page.wait_for_count(images_of(page, wrong), IMAGES)
    assert page.browser.value("document.querySelector('#sort').value") == "score"


def test_ctrl_c_ends_it_and_the_page_says_so(
    page: ExplorerPage, explored_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with open_explorer(tmp_path, explored_runs[0]) as alone:
        ExplorerPage(page.browser, alone).visit()
        assert alone.end() == 0
        assert alone.complaints() == []
        page.click(".value", "wrong")
        assert "start `sightline open` again" in page.text("#error", "again")
    page.visit()


def images_of(page: ExplorerPage, *conditions: dict[str, object]) -> int:
    total: int = page.ask("api/rows", filter=filter_of(*conditions), limit=1)["total"]
    return total


def filter_of(*conditions: dict[str, object]) -> str:
    return json.dumps({"conditions": conditions})


def values_of(column: str, value: str) -> dict[str, object]:
    return {"kind": "values", "column": column, "values": [value]}


def along(corners: list[Point], steps: int = 8) -> list[Point]:
    """The corners, and places between them."""
    return [
        (a[0] + (b[0] - a[0]) * step / steps, a[1] + (b[1] - a[1]) * step / steps)
        for a, b in pairwise(corners)
        for step in range(steps + 1)
    ]
