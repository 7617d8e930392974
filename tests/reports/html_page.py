"""The page as a reader meets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from reports.page import render_page
from tasks.schema import Example, Summary

OURS = """
    html head meta link title style body main header section nav footer article h1 h2 h3 h4 p a
    dl dt dd div span b em small bdi code ul ol li table thead tbody tr th td blockquote
    figure figcaption img details summary svg desc rect line text
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
        self.words, self.text = (" ".join(told.split()) for told in (self.words, self.text))

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
