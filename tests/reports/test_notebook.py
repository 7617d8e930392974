"""What a notebook shows keeps names as text, and needs neither scripts nor a style sheet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports.notebook import audit_as_html, image_as_html, run_as_html
from tasks.schema import ChangedPicture, Example
from tests.support.audit_summaries import (
    SPITEFUL,
    empty_summary,
    hostile_summary,
    summary,
    without_foreground,
    without_interventions,
    without_labels,
)
from tests.support.example_images import example, hostile_examples
from tests.support.html_page import Page, check_words

MARKUP = {*("div", "p", "b", "em", "bdi", "code", "span", "img")}
MARKUP |= {*("table", "thead", "tbody", "tr", "th", "td")}
MOVED = ChangedPicture(
    "moved", 0.8, SPITEFUL, np.zeros((8, 8, 3), np.uint8), words=f"moved: {SPITEFUL}"
)
SHOWN = {
    "an image": image_as_html(example(), "grad_cam"),
    "no map": image_as_html(example(), None),
    "no flag": image_as_html(replace(example(), flag="", reason="", score=None), "grad_cam"),
    **{f"hostile {n}": image_as_html(it, SPITEFUL) for n, it in enumerate(hostile_examples())},
    "moved": image_as_html(replace(example(), changes=(MOVED,)), "grad_cam"),
    "an audit": audit_as_html("/runs/look", summary()),
    "a hostile audit": audit_as_html(SPITEFUL, hostile_summary()),
    "an empty audit": audit_as_html("/runs/look", empty_summary()),
    "no foreground": audit_as_html("/runs/look", without_foreground()),
    "no labels": audit_as_html("/runs/look", summary(**without_labels())),
    "no interventions": audit_as_html("/runs/look", without_interventions()),
    "no audit": run_as_html(SPITEFUL, SPITEFUL),
}


@pytest.mark.parametrize("name", SHOWN)
def test_names_are_text_and_nothing_is_fetched(name: str) -> None:
    page = Page(SHOWN[name])
    assert {tag for tag, _ in page.elements} <= MARKUP
    attributes = {name for _, found in page.elements for name in found}
    assert attributes <= {"style", "src", "alt", "title", "class"}
    for _, found in page.elements:
        assert found.get("src", "data:").startswith("data:")
        assert "url(" not in found.get("style", "")
    check_words(page)


def test_an_image_without_a_map_shows_its_picture_alone() -> None:
    assert SHOWN["an image"].count("<img") == SHOWN["no map"].count("<img") + 1


def test_every_image_says_what_it_is() -> None:
    for html in SHOWN.values():
        assert all(found["alt"] for tag, found in Page(html).elements if tag == "img")


def test_changes_are_named() -> None:
    removed = ChangedPicture(
        "object_removed", 0.9, "teapot", np.zeros((8, 8, 3), np.uint8), words="object removed"
    )
    shown: Example = replace(example(), changes=(removed, *example().changes[2:]))
    words = Page(image_as_html(shown, "grad_cam")).words
    assert "90.0% object removed" in words
    assert "10.0% → tent background of teapot" in words
    assert "background of teapot, its own class" in words
