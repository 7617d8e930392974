"""The section on changed backgrounds: every figure beside its floor, every gap with its reason."""

from __future__ import annotations

from tests.support.audit_summaries import (
    evidence,
    summary,
    unlabelled_evidence,
    without_foreground,
    without_labels,
)
from tests.support.html_page import read


def test_every_figure_has_its_interval_and_its_images() -> None:
    words = read(summary()).text
    assert "1,180 pictures were predicted again" in words
    assert "(256 donors, their own objects filled in)" in words
    for shown in (
        "without labels, with any pictures. 43.3% 41.3 to 45.3% 1,180",
        "of another kind, whatever their labels. 46.7% 44.7 to 48.7% 1,180",
        "may be of another kind all the same. 12.1% 10.1 to 14.1% 1,180",
        "cutting and pasting does by itself. 8.3% 6.3 to 10.3% 1,180",
        "without such a donor, all. +38.1 +36.1 to +40.1 1,180",
        "evidence than the object alone. +16.4 +14.4 to +18.4 1,180",
        "predicts as another class. +31.7 +29.7 to +33.7 1,180",
        "where 20 images or more have them. +5.2 +3.2 to +7.2 1,180",
        "flags are no finding. +27.4 +25.4 to +29.4 1,180",
        "with nothing changed. 78.2% 76.2 to 80.2% 1,180",
        "after cutting and pasting. 71.1% 69.1 to 73.1% 1,180",
        "goes by the object keeps high. 43.3% 41.3 to 45.3% 1,180",
        "a background of the right class. +27.8 +25.8 to +29.8 1,180",
        "backgrounds give the class away. 61.1% 59.1 to 63.1% 1,180",
        "was trained on. 40.2% 38.2 to 42.2% 1,180",
    ):
        assert shown in words


def test_the_floor_is_explained() -> None:
    words = read(summary()).text
    assert "what cutting and pasting does by itself." in words
    assert "Where every class appears on every kind of background" in words


def test_without_labels_the_floor_is_still_there() -> None:
    words = read(summary(**without_labels())).text
    assert "of another kind, whatever their labels. 46.7%" in words
    assert "cutting and pasting does by itself. 8.3%" in words
    assert "with nothing changed. no image has a label: give a table with labels" in words
    assert "Where every class appears" not in words
    assert (
        "Predictions that other backgrounds change 43.3% 41.3 to 45.3% 8.3% on the own "
        "background, moved: the floor" in words
    )


def test_a_class_without_another_picture_has_no_own_background() -> None:
    one_a_class = evidence(flips_within=None, accuracy_within=None, class_gap=None)
    words = read(summary(evidence=one_a_class)).text
    assert "same. fewer than 20 images were put on the background of a donor that is" in words
    assert "of the right class. no image has a donor of its own class" in words


def test_pictures_of_one_class_say_what_a_rate_of_changes_would_take() -> None:
    """Donors may be predicted otherwise, but none is of another class."""
    one_class = evidence(accuracy_across=None, class_gap=None)
    words = read(summary(evidence=one_class, figures={})).text
    assert (
        "with any pictures. no image was put on the background of another class: it takes "
        "foregrounds (--masks, --foreground estimate) and pictures of several classes" in words
    )
    older = read(summary(figures={})).text
    assert "with any pictures. this audit is of an older version: run the same command" in older


def test_without_a_donor_only_the_removals_are_measured() -> None:
    effects = ("flips_effect", "reliance_effect")
    names = ("flips_across", "flips_within", "reliance_across", "reliance_within", *effects)
    accuracies = ("accuracy_within", "accuracy_across", "class_gap")
    alone = unlabelled_evidence().model_copy(update={"donors": 0, "flips_across": None})
    none = evidence(donors=0, **dict.fromkeys((*names, *accuracies)))
    words = read(summary(evidence=none, figures={})).text
    assert "with any pictures. no picture could be a donor, so nothing was exchanged" in words
    assert "evidence than the object alone. +16.4" in words
    words = read(summary(evidence=alone, figures={})).text
    assert "no picture could be a donor, so nothing was exchanged" in words


def test_pictures_that_could_not_be_changed() -> None:
    words = read(summary(evidence=unlabelled_evidence().model_copy(update={"images": 0}))).text
    assert "No picture could be changed" in words


def test_without_a_foreground_nothing_can_be_changed() -> None:
    words = read(without_foreground()).text
    assert "Without a foreground no picture can be changed" in words
    assert "No picture was changed." in words
    assert "An exchange is cut and pasted." not in words


def test_the_limits_speak_of_exchanges_where_there_were_some() -> None:
    words = read(summary()).text
    assert "An exchange is cut and pasted." in words
    assert "Its threshold is the score that 5.0% of the images exceed" in words
    assert "This audit did not do that" not in words
    assert "What is expected of the others is a weighted mean of two numbers" in words
