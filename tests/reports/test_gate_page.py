"""The page of a release as text. test_browser.py looks at it with a browser."""

from __future__ import annotations

from reports.gate_page import render_gate
from tests.support.gate_results import let_through, refused
from tests.support.html_page import Page


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
    positions = [text.index(words) for words in order]
    assert positions == sorted(positions)


def test_without_a_champion_no_comparison_is_promised() -> None:
    text = Page(render_gate(let_through())).text
    assert "Passed." in text
    assert "Champion none to compare with" in text
    assert "not judged" in text
    assert "compare.html" not in text
    assert "Champion: run folder" not in text
