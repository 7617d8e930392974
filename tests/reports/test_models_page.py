"""Two models on the same images: the page as text, the Markdown, and a terminal."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from flows.cli.output.comparison import print_models
from reports.charts import CHANGES, change_axis_end, change_bar
from reports.markdown import models_as_markdown
from reports.models_page import CHANGED, headline, render_models
from tasks.schema import CHANGE_KINDS, PairedFigure, PairedSummary, figures_of_images
from tests.support.html_page import Page
from tests.support.model_comparisons import (
    hostile_pair,
    nothing_compared,
    paired,
    paired_examples,
    paired_figure,
)


def read(summary: PairedSummary) -> Page:
    return Page(render_models(summary, paired_examples(summary) if summary.changed else []))


def test_hostile_words_are_shown_as_words() -> None:
    words = read(hostile_pair()).words
    assert "<script>alert(1)</script>\"'&↵�gnp.exe" in words
    assert "{{ 7*7 }}" in words
    assert "(empty)" in words


def test_the_verdict_comes_first_and_regressions_before_all_else() -> None:
    text = read(paired()).text
    order = (
        "1 of 12 figures is worse, 1 is better.",
        "Worse: accuracy. Better: flips.",
        "31 of 480 images (6.5%) are predicted differently",
        "Worse Accuracy ↑ worse by −6.0 points (−9.0 to −3.0)",
        "Better Predictions that other backgrounds change ↓ better by +6.0 points",
        "No change shown Accuracy on other classes' backgrounds",
        "Not compared Mean lift, vjp no map was scored",
        "Classes By group of classes By the group of the label",
        "Predictions that other backgrounds change, shelter ↓ better by",
        "By label By label, for classes",
        "Accuracy, tent ↑ worse by",
        "Images that changed",
        "What this page cannot show Two models",
        "Configuration Run folder before runs/champion",
    )
    positions = [text.replace("\xa0", " ").index(words) for words in order]
    assert positions == sorted(positions)


def test_figures_stand_with_their_values_and_what_they_cannot_show() -> None:
    text = read(paired()).text
    assert "70.0% 64.0% of 480" in text
    assert "Each interval holds with 97.5%, so that all 2 of them hold together" in text
    assert "fish on sea before, owl after, the lowest of 16 values" in text
    for figure in figures_of_images().values():
        assert figure.meaning.replace("`", "") in text
    assert "another seed gives another model" in text


def test_patterns_stand_with_what_became_of_them() -> None:
    page = read(paired())
    assert "3 confirmed, then or now: 1 new, 1 gone, 1 shrunk." in page.words
    assert "P3 the white tag shrunk by −10.0 points (−14.0 to −6.0)" in page.words
    assert "gone: no candidate has these images now" in page.words
    assert "None is confirmed, then or now." in read(paired(patterns=())).words
    assert "one of the two audits looked for none" in read(paired(patterns=None)).words


def test_changed_images_stand_side_by_side() -> None:
    page = read(paired())
    assert "Broken 12 right before, wrong after" in page.text
    assert "Broken, Newly flagged" in page.text
    assert "before: tent 91.0%, right; rests on the object" in page.text
    assert "after: teapot 62.0%, wrong; rests on the background, changed by 66.7%" in page.text
    assert "background from a picture labelled tent: before tent, after teapot" in page.text
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 4 + 1
    for attributes in images:
        assert attributes["alt"]
        content = attributes["src"].partition(",")[2]
        Image.open(io.BytesIO(base64.b64decode(content))).load()


def test_what_is_missing_of_an_image_is_left_out() -> None:
    (example,) = paired_examples(paired())
    bare = replace(example, mask_HW=None, map_before_HW=None, exchange=None)
    page = Page(render_models(paired(), [bare]))
    assert len(page.of("no-map")) == 1
    assert "outlined" not in page.text
    assert "background from" not in page.text


def test_a_pair_without_figures_says_so() -> None:
    text = read(nothing_compared()).text
    assert "Nothing could be compared." in text
    assert "no image was predicted in both audits" in text
    assert "No class has 20 labelled images" in text
    assert "No image is right, or flagged, in only one of the audits." in text


def test_every_kind_of_change_has_its_words() -> None:
    assert set(CHANGED) == set(CHANGE_KINDS)


def test_headlines() -> None:
    worse, better, same = (paired_figure("flips", it) for it in ("worse", "better", "unchanged"))
    headlines = {
        (worse, worse, same): "2 of 3 figures are worse, none is better.",
        (worse, better, better): "1 of 3 figures is worse, 2 are better.",
        (better,): "1 of 1 figure is better, none is worse.",
        (same, same): "None of 2 figures shows a change.",
    }
    for figures, words in headlines.items():
        assert headline(paired(figures=figures)) == words


def test_a_bar_goes_from_the_middle_to_the_change() -> None:
    drawn = change_bar(ends(paired_figure("accuracy", "worse")), 0.1, "worse by −6.0 points")
    assert '<rect class="bar" x="20.00%" width="30.00%"' in drawn
    assert '<line class="whisker" x1="5.00%" x2="35.00%"' in drawn
    assert "worse by −6.0 points" in drawn


def test_the_axis_holds_every_interval() -> None:
    assert change_axis_end([ends(paired_figure("accuracy", "worse"))]) == 0.1
    assert change_axis_end([ends(paired_figure("accuracy", "unchanged"))]) == 0.25
    assert change_axis_end([]) == CHANGES[0]


def ends(figure: PairedFigure) -> tuple[float, float, float]:
    return figure.low, figure.change, figure.high


def test_markdown_is_a_table_with_its_verdict() -> None:
    lines = models_as_markdown(paired()).splitlines()
    assert lines[0].startswith("**1 of 12 figures is worse, 1 is better.** Worse: accuracy.")
    assert lines[2] == "champion → candidate, 480 images of /data/scenes."
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == (2 + 12 + 1) + (2 + 3)  # figures and patterns
    assert table[-2].startswith("| P3 the white tag → the white tag | 20.0%, +40.0 points | – |")
    assert table[-2].endswith("| **gone: no candidate has these images now** |")
    assert {line.count("|") for line in table} == {5}
    assert table[2] == "| Accuracy | 70.0% | 64.0% | **worse by −6.0 points (−9.0 to −3.0)** |"
    assert "12 broken, 9 newly flagged, 5 fixed, 3 no longer flagged" in lines[-1]
    assert "Accuracy, tent worse by" in models_as_markdown(paired())


def test_the_users_words_are_no_markdown() -> None:
    output = models_as_markdown(hostile_pair())
    assert "<script>" not in output
    assert "{{" not in output
    assert "\u202e" not in output
    table = [line for line in output.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}
    mentioned = models_as_markdown(paired(data="@team [x](http://y) `a|b` *c* #1"))
    assert not set("@[]`#").intersection(re.sub(r"&#\d+;", "", mentioned).splitlines()[2])


def test_a_terminal_says_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_models(paired())
    output = capsys.readouterr().out
    assert "verdict: Worse: accuracy. Better: flips." in output
    assert "480 in both; 12 broken, 9 newly flagged, 5 fixed, 3 no longer flagged" in output
    assert "worse by −6.0 points (−9.0 to −3.0)" in output
    assert "Accuracy, tent" in output
    assert "teapot" not in output  # shows no change
    assert "missing: lift: no map was scored" in output
    assert "more figures of classes" not in output
    assert output.index("tent") < output.index("by group of classes") < output.index("shelter")


def test_a_terminal_shows_ten_classes_and_counts_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    classes = tuple(paired_figure("flips", "better", f"species {it}") for it in range(25))
    print_models(paired(classes=classes))
    output = capsys.readouterr().out
    assert output.count("species ") == 10
    assert "and 15 more figures of classes changed; compare.json lists them (--out" in output
    print_models(paired(class_groups=classes))
    output = capsys.readouterr().out
    assert output.count("species ") == 10
    assert "and 15 more figures of groups of classes changed; compare.json lists" in output


def test_without_groups_of_classes_there_is_no_table_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ungrouped = paired(class_groups=())
    print_models(ungrouped)
    assert "group of classes" not in read(ungrouped).text.lower()
    assert "group of classes" not in capsys.readouterr().out
