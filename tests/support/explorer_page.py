"""The explorer's page in a browser, as a user's eyes and hands meet it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.chromium import WIDE, Browser, Point
from benchmarks.explorer.open_command import OpenExplorer

# Elements that are seen, of a selector, and with these words in them if there are any.
SEEN = """
((selector, words) => [...document.querySelectorAll(selector)]
  .filter(e => e.checkVisibility({ visibilityProperty: true }))
  .find(e => `${e.textContent} ${e.ariaLabel ?? ""}`.includes(words)))
"""


@dataclass(frozen=True)
class ExplorerPage:
    browser: Browser
    explorer: OpenExplorer

    def visit(self, view: str = "", width: int = WIDE) -> None:
        """The page, at what stands behind its #."""
        self.browser.open(self.explorer.address + view, width)
        self.browser.until("document.querySelector('#count').textContent.includes('image')")

    def ask(self, question: str, **parameters: Any) -> Any:
        """The server's own answer, as an oracle."""
        answer = httpx.get(self.explorer.address + question, params=parameters, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def click(self, selector: str, words: str = "") -> None:
        self.browser.drag(self.place(selector, words))

    def place(self, selector: str, words: str = "") -> Point:
        """The middle of an element, scrolled to."""
        left, top, width, height = self.box(selector, words)
        return (left + width / 2, top + height / 2)

    def box(self, selector: str, words: str = "") -> list[float]:
        element = f"{SEEN}({json.dumps(selector)}, {json.dumps(words)})"
        self.browser.until(f"{element} !== undefined")
        box: list[float] = self.browser.value(
            f"(e => {{ e.scrollIntoView({{ block: 'nearest' }}); const b = "
            f"e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height] }})({element})"
        )
        return box

    def focus(self, selector: str) -> None:
        self.browser.value(f"document.querySelector({json.dumps(selector)}).focus()")

    def text(self, selector: str, words: str = "") -> str:
        element = f"{SEEN}({json.dumps(selector)}, {json.dumps(words)})"
        self.browser.until(f"{element} !== undefined")
        text: str = self.browser.value(f"{element}.textContent")
        return text

    def type(self, text: str) -> None:
        self.browser.press(*text)

    def wait_for_count(self, images: int, of: int) -> None:
        words = f"{of:,} images" if images == of else f"{images:,} of {of:,} images"
        self.browser.until(f"document.querySelector('#count').textContent === '{words}'")

    def wait_for_layers(self, *names: str) -> None:
        """Until every tile that is seen has its picture, map or outline."""
        for name in names:
            self.browser.until(
                f"document.querySelector('.tile .{name}.ready') && [...document.querySelectorAll("
                f"'.tile:not([hidden]) .{name}')].every(e => e.classList.contains('ready'))"
            )

    def conditions(self) -> list[dict[str, Any]]:
        """The filter of the page's address."""
        text = self.browser.value("new URLSearchParams(location.hash.slice(1)).get('filter')")
        conditions: list[dict[str, Any]] = json.loads(text or "[]")
        return conditions

    def complaints(self) -> list[Any]:
        """Of the console, the network and the server's log, since the page was opened."""
        named = self.browser.named
        responses = [it["response"] for it in named("Network.responseReceived")]
        failed = [it["url"] for it in responses if it["status"] >= 500]
        urls = [it["request"]["url"] for it in named("Network.requestWillBeSent")]
        own = (self.explorer.address, "data:", "blob:", "about:blank")
        strange = [url for url in urls if not url.startswith(own)]
        said = [it["entry"] for it in named("Log.entryAdded")]
        said += named("Runtime.consoleAPICalled") + named("Runtime.exceptionThrown")
        return [*said, *failed, *strange, *self.explorer.complaints()]


def view_of(**parts: Any) -> str:
    """An address's part after and with its #; conditions under `filter`."""
    texts = {name: json.dumps(it) if name == "filter" else it for name, it in parts.items()}
    return "#" + "&".join(f"{name}={quote(str(text))}" for name, text in texts.items())
