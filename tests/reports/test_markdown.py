"""Names in release.md and compare.md are text: no markup, no links, no mentions."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.markdown import audit_as_markdown, escape, gate_as_markdown, models_as_markdown
from tasks.schema import ClassGroups, Interval, Summary, WorstGroup
from tests.support.audit_summaries import (
    class_summary,
    empty_summary,
    hostile_summary,
    summary,
    without_foreground,
)
from tests.support.gate_results import refused, ruling
from tests.support.model_comparisons import audited_model, paired, paired_figure

# GitHub's extended autolinks and mentions, read generously: in text as a browser has it.
LINKS = re.compile(r"(https?|ftp)://|(?<!\w)www\.|@\w", re.IGNORECASE)
NAMES = (
    "http://evil.example/a",
    "see HTTPS://evil.example",
    "ftp://evil.example",
    "WWW.evil.example",
    "me@evil.example",
    "mailto:me@evil.example",
    "@everyone",
    "<http://evil.example>",
    "[cat](http://evil.example)",
    "![cat](http://evil.example/a.png)",
    "[1]: http://evil.example",
    "a|b\n| c |",
    "cat\n\n# heading",
    "`code` *bold* _em_ ~~no~~ #1 \\",
    "&#104;ttp://evil.example",
    "<a href=x>",
)


def rendered(text: str) -> str:
    """What a browser shows, and where it would link to."""
    page = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    return html.unescape(page)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_neither_link_nor_markup(name: str) -> None:
    shown = rendered(escape(name)).strip().removeprefix("<p>").removesuffix("</p>")
    assert not LINKS.search(shown)
    assert shown.replace("\u2060", "") == re.sub("\n", "↵", name)
    page = MarkdownIt("gfm-like", {"linkify": False}).render(escape(name))
    assert "<a " not in page
    assert "<img" not in page
    assert "<em>" not in page


@given(st.text(st.sampled_from("htps:/w.@mailo<>[]()`*_#|&;\n x1"), max_size=40))
def test_no_text_becomes_a_link(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    assert not LINKS.search(html.unescape(escaped))


@pytest.mark.parametrize("name", NAMES)
def test_both_files_keep_names_as_text(name: str) -> None:
    gate = refused().model_copy(
        update={
            "sentence": name,
            "promotion": name,
            "data": name,
            "policy": name,
            "compared": name,
            "candidate": audited_model(name),
            "rulings": (ruling(1, "fail", "fail", name),),
        }
    )
    pair = paired(
        data=name,
        sentence=name,
        classes=(paired_figure("accuracy", "worse", name),),
        before=audited_model(name),
    )
    for text in (gate_as_markdown(gate), models_as_markdown(pair)):
        assert not LINKS.search(html.unescape(text))
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in tables}) == 1


def test_an_audit_says_its_headline_and_its_figures() -> None:
    text = audit_as_markdown(summary())
    assert text.startswith("**")
    assert "| Accuracy | " in text
    assert "%" in text
    page = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert page.count("<table>") == 1
    assert page.count("<tr>") >= 4


@pytest.mark.parametrize("found", [hostile_summary(), without_foreground(), empty_summary()])
def test_any_audit_is_one_table_without_links(found: Summary) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(audit_as_markdown(found))
    assert page.count("<table>") == 1
    assert "<a " not in page
    assert not LINKS.search(html.unescape(page))


def test_of_many_classes_that_are_worse_ten_are_named() -> None:
    worse = tuple(paired_figure("accuracy", "worse", f"species {at}") for at in range(300))
    text = models_as_markdown(paired(classes=worse))
    assert text.count("species") == 10
    assert "; and 290 more in compare.json." in text


def test_the_head_of_an_audit_says_which_group_of_classes_is_the_worst() -> None:
    worst = WorstGroup(
        name="boats",
        accuracy=Interval(value=0.5, low=0.4, high=0.6, of=90),
        groups=2,
        of_classes=True,
    )
    groups = ClassGroups(group_of={"tent": "boats", "teapot": "birds"})
    boats, birds = class_summary("boats", 9, 148), class_summary("birds", 91, 148)
    text = audit_as_markdown(
        summary(class_groups=groups, by_class_group=(boats, birds), worst_group=worst)
    )
    assert (
        "Of 2 groups of classes, boats has the lowest accuracy (50.0%), and birds is flagged most "
        "surely more than the null (61.5%, null 4.7%).**" in text
    )
