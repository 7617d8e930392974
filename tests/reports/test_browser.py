"""The page as a browser shows it: Debian's headless Chromium, spoken to through its own pipe.

A pipe instead of a port: nothing listens, so that runs side by side cannot meet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import PAGES

pytestmark = pytest.mark.full

INSTALL = "Chromium is missing: apt-get install -y chromium"
WIDE, NARROW = 1280, 390


@dataclass
class Browser:
    """Commands out, answers and events in; both are JSON ended by a zero byte."""

    commands: int
    answers: int
    sent: int = 0
    unread: bytes = b""
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        message: dict[str, Any] = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.sent:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def value(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True)
        return result["result"].get("value")

    def wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def named(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def open(self, page: Path, width: int) -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width == NARROW,
        )
        self.call("Page.navigate", url=page.as_uri())
        self.wait("Page.loadEventFired")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            chunk = os.read(self.answers, 1 << 20)
            assert chunk, "Chromium has gone"
            self.unread += chunk
        message, _, self.unread = self.unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def attach(browser: Browser) -> None:
    """One empty page, its console, its log and its requests reported."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
    browser.session = attached["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, INSTALL
    folder = tmp_path_factory.mktemp("chromium")
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    # Chromium reads commands from descriptor 3 and answers on 4; only a shell can place them there.
    line = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
    arguments = [*options.split(), "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", line, program, *arguments],
            pass_fds=(read_commands, write_answers),
            stdout=log,
            stderr=log,
        )
    os.close(read_commands)
    os.close(write_answers)
    started = Browser(commands, answers)
    try:
        attach(started)
        yield started
    finally:
        os.close(commands)  # the end of its commands is the end of Chromium
        process.wait(30)
        os.close(answers)


SHOWN = ("audit", "audit, patterns", "methods", "pair", "release, refused")
HOSTILE = ("audit, hostile", "methods, hostile", "pair, hostile", "release, hostile")


@pytest.fixture(params=(*SHOWN, *HOSTILE))
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_scrolls_sideways(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.body.scrollWidth") <= width


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_complaint_and_no_request(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    assert browser.named("Log.entryAdded") == []
    assert browser.named("Runtime.consoleAPICalled") == []
    assert browser.named("Runtime.exceptionThrown") == []
    urls = [sent["request"]["url"] for sent in browser.named("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [page.as_uri()]


def test_every_image_is_there(browser: Browser, page: Path) -> None:
    browser.open(page, WIDE)
    widths = browser.value("JSON.stringify([...document.images].map(i => i.naturalWidth))")
    assert len(json.loads(widths)) == page.read_text().count("<img ")
    assert all(json.loads(widths))


def test_nothing_of_the_users_became_markup(browser: Browser, page: Path) -> None:
    browser.open(page, WIDE)
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
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[preference])
    browser.open(page, WIDE)
    faint = browser.value(FAINT)
    browser.call("Emulation.setEmulatedMedia", features=[])
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
    browser.open(page, width)
    assert browser.value(MEETING) == 0


def test_a_click_selects_the_whole_command(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(PAGES["audit"](), encoding="utf-8")
    browser.open(page, NARROW)
    where = "document.querySelector('.command')"
    browser.value(f"{where}.scrollIntoView({{block: 'center'}})")
    left, top = json.loads(
        browser.value(
            f"(() => {{ const at = {where}.getClientRects()[0]; "
            "return JSON.stringify([at.left + at.width / 2, at.top + at.height / 2]) })()"
        )
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=left, y=top, button="left", clickCount=1
        )
    assert browser.value("getSelection().toString()") == browser.value(f"{where}.textContent")


def _lightness_of_paper(browser: Browser, page: Path, scheme: str) -> int:
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[preference])
    browser.open(page, WIDE)
    colour = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    browser.call("Emulation.setEmulatedMedia", features=[])
    return int(colour.removeprefix("rgb(").split(",")[0])
