"""The page as text. test_browser.py looks at the same pages with a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from reports.audit_page import render_page
from reports.rendering import environment
from tasks.schema import Copy, DuplicateSummary, ImageCounts, wilson
from tests.support.audit_summaries import (
    class_summary,
    excess_of,
    failure,
    few_images,
    hostile_summary,
    summary,
    without_foreground,
    without_interventions,
    without_labels,
    without_layer,
)
from tests.support.example_images import example, examples, hostile_examples
from tests.support.html_page import read


def test_hostile_words_are_shown_as_words() -> None:
    page = read(hostile_summary(), hostile_examples())
    assert "<script>alert(1)</script>\"'&↵�gnp.exe" in page.words
    assert "{{ 7*7 }}" in page.words
    assert "49" not in page.words
    assert "<img src=x onerror=alert(1)>" in page.words
    assert "(empty)" in page.words


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_stays_text(text: str) -> None:
    ordinary = [tag for tag, _ in read(summary(data="data"), []).elements]
    classes = (class_summary(text, 91, 148), class_summary(text, 2, 9))
    page = read(summary(by_label=classes, by_prediction=classes, data="data"))
    page.html.encode("utf-8")
    shown = [tag for tag, _ in page.elements]
    assert {*shown} == {*ordinary}


def test_a_model_without_layers_has_its_page() -> None:
    page = read(without_layer(), examples())
    assert "none, since the model has no layer with cells" in page.words


def test_the_headline_in_words_and_figures() -> None:
    page = read(summary(), examples())
    assert (
        "34.9% of the decided predictions are flagged as resting on the background; "
        "5.0% would be if backgrounds did not matter." in page.words
    )
    assert "That is 412 of 1,180 decided predictions (95% interval 32.2 to 37.7%)." in page.words
    assert (
        "Wrong predictions are flagged more often than right ones: 72.1% against 24.5%"
        in page.words
    )
    assert "would flag 59 of 1,180 (5.0%). The excess is +29.9 points" in page.words
    assert "(95% interval +26.9 to +32.9): it is clear that some" in page.words
    assert (
        "Flagged as resting on the background 34.9% 32.2 to 37.7% 412 of 1,180 decided"
        in page.words
    )
    assert (
        "Flagged if backgrounds did not matter 5.0% 3.9 to 6.4% 59 of 1,180 of the same"
        in page.words
    )
    assert "Excess of flags over the null, in points +29.9 +26.9 to +32.9 clear" in page.words
    assert (
        "Predictions that other backgrounds change 43.3% 41.3 to 45.3% 8.3% on the own "
        "background, moved: the floor" in page.words
    )
    assert (
        "Accuracy of the worst group 5.0% 3.0 to 7.0% tent on snow, the lowest of 16 values of "
        "group" in page.words
    )
    assert "Accuracy 78.2% 75.8 to 80.4% 936 of 1,197 labelled" in page.words
    assert "Failures 3 images without a prediction" in page.words
    assert sum(tag == "h1" for tag, _ in page.elements) == 1


def test_no_excess_is_said_plainly() -> None:
    rates = {"flagged": wilson(62, 1180), "null": wilson(59, 1180)}
    words = read(summary(**rates, excess=excess_of(0.0025, 0.012))).words
    assert "No excess: 5.3% of the decided predictions are flagged, 5.0% would be if" in words
    assert (
        "shows no reliance on the background beyond false alarms. An excess of up to +1.5 points"
        in words
    )
    assert "not clear: the interval includes 0" in words
    assert "it is clear" not in words


def test_fewer_flags_than_false_alarms() -> None:
    rates = {"flagged": wilson(12, 1180), "null": wilson(59, 1180)}
    words = read(summary(**rates, excess=excess_of(-0.04, 0.012))).words
    assert "No excess: 1.0% of the decided" in words
    assert "The excess is −4.0 points (95% interval −5.2 to −2.8): fewer are flagged" in words


def test_few_images_are_not_judged() -> None:
    words = read(few_images()).words
    assert (
        "5.3% of the decided predictions are flagged: too few images to judge the excess." in words
    )
    assert "takes at least 20 images; 19 could be compared." in words
    assert "Excess of flags over the null, in points too few images" in words
    assert "it is clear" not in words


def test_what_is_not_clearly_different_is_said_to_be_so() -> None:
    page = read(summary(flagged_correct=wilson(4, 20), flagged_incorrect=wilson(5, 20)))
    assert (
        "Wrong predictions (25.0%) and right ones (20.0%) are not clearly different." in page.words
    )


def test_source_method_rule_and_numeric_mode_are_named() -> None:
    words = read(summary()).words
    assert "Foreground annotated, 15.0% of the picture on average" in words
    assert "Method gradcam++, of the prediction" in words
    assert "Numeric mode dtype float32" in words
    assert "Scores above 0.673 are flagged." in words
    assert "Threshold score 0.673 False alarms 5.0% Calibrated on 1,180 images" in words
    assert "A map certifies nothing." in words
    assert "Preprocessing: mean [0.485, 0.456, 0.406]" in words


def test_right_and_wrong_against_the_flag() -> None:
    words = read(summary()).words
    assert "Right 226 696 24.5% 21.8 to 27.4%" in words
    assert "Wrong 186 72 72.1% 66.3 to 77.2%" in words
    assert "If backgrounds did not matter 59 1,121 5.0% 3.9 to 6.4%" in words


def test_images_without_a_null_are_counted() -> None:
    words = read(summary(null=wilson(59, 1100))).words
    assert "80 decided predictions without such backgrounds do not count there" in words


def test_predictions_without_a_label_are_accounted_for() -> None:
    words = read(summary(flagged_correct=wilson(226, 900))).words
    assert "22 decided predictions without a label count as neither right nor wrong." in words


def test_without_a_foreground_nothing_is_flagged_and_predictions_are_shown() -> None:
    page = read(
        without_foreground(), [replace(example(), flag="undecided", mask_HW=None, lift=None)]
    )
    assert "Nothing is flagged: this audit had no foreground." in page.words
    assert "Flagged as resting on the background not judged" in page.words
    assert "teapot" in page.words
    assert "outlined" not in page.words
    assert "Shown is the accuracy by class" in page.words
    assert len(page.of("interval-bar")) == 4  # of two labels and two sites
    assert not page.of("histogram")


def test_without_labels_it_says_so() -> None:
    page = read(summary(**without_labels()), [replace(example(), label=None, correct=None)])
    assert "Accuracy no labels" in page.words
    assert "Flagged when wrong no labels" in page.words
    assert "right and wrong are not known" in page.words
    assert "By label" not in page.words
    assert "By predicted class" in page.words


def test_no_flag_is_a_finding_too() -> None:
    rates = {"flagged": wilson(0, 1180), "flagged_correct": wilson(0, 922)}
    page = read(summary(**rates, excess=excess_of(-0.05, 0.012)))
    assert "No prediction is flagged as resting on the background." in page.words
    assert "That is 0 of 1,180 decided predictions (95% interval 0.0 to 0.3%)." in page.words
    assert "fewer are flagged than by false alarm" in page.words


def test_nothing_decided_says_why() -> None:
    page = read(without_interventions(), [replace(example(), changes=())])
    assert "No prediction could be decided. Nothing is flagged: no background was" in page.words
    assert "Flagged as resting on the background none decided" in page.words
    assert "Without a decided prediction no class is judged." in page.words
    assert "This audit changed no picture, as its settings ask" in page.words
    assert "No picture was changed." in page.words  # among the limits
    assert "Threshold none" in page.words


def test_many_kinds_of_failure_are_cut_with_the_rest_counted() -> None:
    failures = tuple(failure(f"message {number}", count=2) for number in range(80))
    page = read(summary(failures=failures))
    assert "message 29" in page.words
    assert "message 30" not in page.words
    assert "50 more kinds of failure, 100 rows, are in failures/" in page.words


def test_no_failure_is_said() -> None:
    images = ImageCounts(total=9, predicted=9, failed=0, labelled=9, scored=9)
    assert "Nothing failed" in read(summary(failures=(), images=images)).words


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="map is"):
        render_page(summary(), [replace(example(), map_HW=np.ones((7, 7)))])


def test_a_word_that_a_template_misspells_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ flaged }}").render()


def test_pictures_with_two_labels_are_listed() -> None:
    copies = (Copy(row_id="a.png", label="cat"), Copy(row_id="b.png", label="owl"))
    found = DuplicateSummary(pictures=1, rows=2, contradictions=1, first=(copies,))
    words = read(summary(duplicates=found)).words
    assert "1 picture has different labels" in words
    assert "b.png" in words
    assert "byte for byte" not in read(summary()).words
