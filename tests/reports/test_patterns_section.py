"""What the page, the terminal and Markdown say of patterns."""

from __future__ import annotations

import re

from reports.audit_page import render_page
from reports.markdown import audit_as_markdown
from reports.pattern_sentences import pattern_lines
from tasks.schema import PatternPictures, Summary
from tasks.schema.patterns import MOST_SHOWN
from tests.support.audit_summaries import SPITEFUL, summary
from tests.support.html_page import Page
from tests.support.pattern_results import (
    found,
    hostile_patterns,
    hostile_pictures,
    not_confirmed,
    pattern,
    pictures_of,
    several,
    too_few,
)


def section(audited: Summary, pictures: list[PatternPictures] | None = None) -> Page:
    """That part of the page."""
    html = render_page(audited, [], pictures or [])
    start = html.index('<section id="patterns">')
    return Page(html[start : html.index("</section>", start) + len("</section>")])


def test_a_card_says_what_the_trial_showed_and_what_is_known_of_the_images() -> None:
    words = section(summary(patterns=several())).words
    assert "1 pattern is confirmed, of 4 candidates." in words
    assert "P1 mostly site reef confirmed: pulls to tent" in words
    assert "41% of images of other classes are predicted as tent on such backgrounds." in words
    assert "Images 240" in words
    assert "Labelled tent 25.0% of them" in words
    assert "Predicted tent without the object 90.0% of them" in words
    assert "Wrong predictions as tent 58 of all 61" in words
    assert "In your table: site reef in 204 of 240 (4.3% of other images)." in words


def test_pictures_stand_beside_a_control_and_say_what_was_predicted() -> None:
    page = section(summary(patterns=several()), [pictures_of("P1"), pictures_of("P3")])
    assert sum(tag == "img" for tag, _ in page.elements) == 2 * (2 + 3)
    assert "tent label teapot" in page.words
    assert "outlined where most of the map beside the object lies" in page.words
    put = "teapot as it is tent on the pattern teapot on a control"
    given = "teapot as it is tent with the pattern teapot with a control"
    assert put in re.sub(r"\s+", " ", page.words)
    assert given in re.sub(r"\s+", " ", page.words)
    titles = [attributes.get("title") for tag, attributes in page.elements if tag == "img"]
    assert "from b.png" in titles


def test_what_is_not_confirmed_has_a_line_and_no_card() -> None:
    page = section(summary(patterns=several()))
    assert sum(tag == "article" for tag, _ in page.elements) == 2
    assert "P3 something in the upper left confounded: may pull to tent" in page.words
    assert "an idea tent 240 +2.0 −3.0 to +7.0 0.410 not confirmed" in page.words
    assert "a rare one tent 240 – too few" in page.words
    assert not [tag for tag, _ in page.elements if tag == "details"]


def test_a_long_table_is_folded() -> None:
    others = [not_confirmed(f"P{number}") for number in range(2, 9)]
    page = section(summary(patterns=found(pattern(), *others)))
    assert [tag for tag, _ in page.elements if tag == "details"]
    assert "7 candidates not confirmed, or too few images to judge" in page.words


def test_patterns_beyond_the_cards_are_in_the_table() -> None:
    many = [pattern(f"P{number}", name=f"kind {number}") for number in range(1, MOST_SHOWN + 2)]
    page = section(summary(patterns=found(*many)))
    assert sum(tag == "article" for tag, _ in page.elements) == MOST_SHOWN
    assert f"kind {MOST_SHOWN + 1} tent 240 +38.0 +31.0 to +45.0 <0.001 confirmed" in page.words


def test_where_nothing_is_confirmed_one_sentence_says_so() -> None:
    page = section(summary(patterns=found(not_confirmed("P1"), too_few("P2"))))
    assert "No pattern is confirmed, of 2 candidates." in page.words
    assert not [tag for tag, _ in page.elements if tag in ("article", "img")]
    words = section(summary(patterns=found())).words
    assert "No pattern was found: no images that are alike" in words
    assert "Candidates" not in words


def test_the_test_is_explained() -> None:
    words = section(summary(patterns=several())).words
    assert "Half of the images (467) proposed the candidates, and the other half (493)" in words
    assert "6,144 pictures in all. The unit of the test is the background" in words
    assert "if q is at most 0.05 and the effect is at least 5 points" in words
    assert "Confounded means that" in words


def test_without_patterns_there_is_no_section() -> None:
    html = render_page(summary(), [])
    assert "patterns" not in Page(html).words
    assert "#patterns" not in html
    assert pattern_lines(summary()) == []


def test_a_pattern_is_never_called_wrong() -> None:
    words = section(summary(patterns=several()), [pictures_of()]).words
    assert "a pattern is what predictions rest on, not an error" in words
    assert not re.search(r"\b(wrong|bad|spurious|bias)", words.replace("Wrong predictions", ""))


def test_text_of_users_stays_text() -> None:
    page = section(summary(patterns=hostile_patterns()), hostile_pictures())
    assert "<script>alert(1)</script>\"'&↵" in page.words
    assert "<img src=x onerror=alert(1)>" in page.words
    assert "{{ 7*7 }}" in page.words
    assert not [tag for tag, _ in page.elements if tag in ("script", "style", "title")]


def test_a_line_for_each_confirmed_pattern() -> None:
    assert pattern_lines(summary(patterns=several())) == [
        "pattern: P1, mostly site reef, pulls to tent: +38.0 points (+31.0 to +45.0)"
    ]
    nothing = summary(patterns=found(not_confirmed("P1")))
    assert pattern_lines(nothing) == ["patterns: none confirmed of 1 candidate"]
    assert pattern_lines(summary(patterns=found())) == ["patterns: none found"]


def test_markdown_has_the_same_lines_with_their_text_escaped() -> None:
    made = audit_as_markdown(summary(patterns=found(pattern(name=SPITEFUL))))
    assert "pulls to tent: +38" in made
    assert "<script>" not in made
    assert "pattern" not in audit_as_markdown(summary())
