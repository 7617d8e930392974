"""The page of a run whose row ids, labels, columns and values were written to break it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chromium import NARROW, WIDE, Browser
from benchmarks.explorer.open_command import open_explorer
from models.classifier.settings import ModelSettings
from tasks.catalog.settings import DataSettings
from tests.support.audits import run_audit
from tests.support.explorer_page import ExplorerPage, view_of

pytestmark = pytest.mark.full

SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
TURNED = "a\u202egnp.exe"
ATTACKS = (
    SCRIPT,
    IMAGE,
    TURNED,
    "\"'`${document.title='owned'}",
    "n" * 3000,
    "صورة",
    "</style>",
    "",
)
CLASSES = (SCRIPT, IMAGE, TURNED, "</style>")
TABS = ("grid", "plot", "scenarios", "panel")


@pytest.fixture(scope="module")
def page(
    browser: Browser, benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExplorerPage]:
    folder = tmp_path_factory.mktemp("hostile")
    pictures = sorted((benchmark_folder / "images/test").glob("*.png"))
    rows = [
        {
            "image": str(pictures[number]),
            "label": CLASSES[number % len(CLASSES)],
            "key": f"{number} {attack}",
            SCRIPT: attack,
            f'{IMAGE}","': ATTACKS[-number % len(ATTACKS)],
            "n" * 300: number / 3,
            TURNED: attack[:20],
        }
        for number, attack in enumerate(ATTACKS * 3)
    ]
    table = folder / "table.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    data = DataSettings(
        path=str(table), image_column="image", label_column="label", key_column="key"
    )
    (folder / "classes.json").write_text(json.dumps(CLASSES), encoding="utf-8")
    model = ModelSettings(address=str(bundle), classes=str(folder / "classes.json"))
    run = run_audit(folder / "<b>run", data, model)
    run.update_state(state="finished")
    with open_explorer(folder, Path(run.path)) as explorer:
        yield ExplorerPage(browser, explorer)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("tab", TABS)
def test_nothing_of_it_runs_or_breaks_the_page(page: ExplorerPage, tab: str, width: int) -> None:
    rows = page.ask("api/rows", limit=2)["rows"]
    page.visit(view_of(open=rows[0]["row_id"]) if tab == "panel" else view_of(tab=tab), width)
    if tab == "panel":
        page.browser.until("document.querySelector('.panel h3') !== null")
    if tab == "grid":
        unfold_all_columns(page, width)
    assert page.browser.value("document.title") == "<b>run · Sightline"
    assert page.browser.value(STRANGERS) == []
    assert page.browser.value("document.documentElement.scrollWidth") <= width
    assert page.browser.value("document.body.textContent.includes('\\u202e')") is False
    assert page.complaints() == []


def unfold_all_columns(page: ExplorerPage, width: int) -> None:
    if width == NARROW:
        page.click("#filters-button")
    page.browser.value(f"void {CLOSED}.forEach(button => button.click())")
    page.browser.until(f"document.querySelectorAll('.columns .value').length > {len(ATTACKS)}")


def test_its_values_can_be_chosen(page: ExplorerPage) -> None:
    page.visit()
    for attack in (SCRIPT, IMAGE):
        page.click(".value", attack)
        page.browser.until("location.hash.includes('filter')")
        (condition,) = page.conditions()
        assert condition["values"] == [attack]
        question = {"filter": json.dumps({"conditions": [condition]}), "limit": 1}
        page.wait_for_count(page.ask("api/rows", **question)["total"], 24)
        page.click(".chip button")
        page.wait_for_count(24, 24)
    assert page.complaints() == []


CLOSED = "document.querySelectorAll('.column h3 button[aria-expanded=false]')"
STRANGERS = (
    "[...document.querySelectorAll('script:not([type=module]), iframe, object, embed, b > *, "
    "[onerror], [onload], img[src=x]')].map(e => e.outerHTML)"
)
