"""A page as a reader meets it, and what every page must keep."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from reports.audit_page import render_page
from tasks.schema import Example, Summary

MARKUP = """
    html head meta link title style body main header section nav footer article h1 h2 h3 h4 p a
    dl dt dd div span b em small bdi code ul ol li table caption thead tbody tr th td blockquote wbr
    figure figcaption img details summary svg g desc rect line circle path text
"""
VOID = {"meta", "link", "img", "line", "rect", "wbr"}


@dataclass
class Page(HTMLParser):
    """The page as a reader meets it: elements, addresses, words."""

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    words: str = ""
    text: str = ""  # the words outside of drawings

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open == []
        self.words, self.text = (" ".join(words.split()) for words in (self.words, self.text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        gap = " " if tag in {"dt", "dd", "th", "td", "small", "span"} else ""
        self.words, self.text = self.words + gap, self.text + gap
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data
        if not {"style", "svg"} & set(self.open):
            self.text += data

    def of(self, kind: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if attributes.get("class") == kind]


def read(summary: Summary, examples: list[Example] | None = None) -> Page:
    return Page(render_page(summary, examples or []))


def check_markup(page: Page) -> None:
    """Elements that our templates use, and no code on any of them."""
    assert page.html.startswith("<!doctype html>")
    assert {tag for tag, _ in page.elements} <= set(MARKUP.split())
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


def check_addresses(page: Page) -> None:
    """No address leads out, and the browser may follow none."""
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith("data:") or address[1:] in ids
    assert "url(" not in page.html.partition("</style>")[0]
    assert "@import" not in page.html
    assert "default-src 'none'" in page.html


def check_words(page: Page) -> None:
    """No missing figure shows as code, and no character hides another."""
    own = re.sub(r"NaN\]", "]", page.words)  # without the user's NaN in the configuration
    assert not re.search(r"\b(None|NaN|nan|inf|undefined|Infinity)\b", own)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page.html)
    page.html.encode("utf-8")
