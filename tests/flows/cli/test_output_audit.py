"""The figures of a run on a terminal: flagged beside the null, flips beside their floor."""

from __future__ import annotations

import pytest

from flows.cli.output.audit import print_summary
from tasks.schema import ClassGroups, Summary, WorstGroup, wilson
from tests.support.audit_summaries import (
    class_summary,
    evidence,
    few_images,
    figure,
    summary,
    unlabelled_evidence,
    without_foreground,
    without_interventions,
    without_labels,
)
from tests.support.pattern_results import found, not_confirmed, several


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return Printed(capsys)


class Printed:
    """Prints a summary and returns the text, in single spaces and without the lines of tables."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, summary: Summary, *, every_class: bool = False) -> str:
        print_summary(summary, every_class=every_class)
        return " ".join(self.capsys.readouterr().out.replace("│", " ").replace("┃", " ").split())


def test_flagged_stands_beside_the_null_and_the_excess(printed: Printed) -> None:
    words = printed(summary())
    assert "rests on background 34.9% (32.2 to 37.7; 412 of 1,180)" in words
    assert "if backgrounds did not matter 5.0% (3.9 to 6.4; 59 of 1,180)" in words
    assert "excess, points +29.9 (+26.9 to +32.9)" in words


def test_flips_and_accuracy_stand_beside_those_of_the_own_class(printed: Printed) -> None:
    words = printed(summary())
    assert (
        "predictions that other backgrounds change 43.3% (41.3 to 45.3) "
        "from pictures predicted otherwise 46.7% (44.7 to 48.7) "
        "from pictures predicted alike 12.1% (10.1 to 14.1) "
        "their own, moved: the floor 8.3% (6.3 to 10.3) "
        "probability lost beyond the own, points +27.4 (+25.4 to +29.4)" in words
    )
    assert (
        "accuracy on other classes' backgrounds 43.3% (41.3 to 45.3) "
        "on backgrounds of the same class 71.1% (69.1 to 73.1)" in words
    )


def test_an_excess_without_an_effect_is_said_to_be_no_finding(printed: Printed) -> None:
    assert "no finding" not in printed(summary())
    tiny = evidence(reliance_effect=figure(-0.003), flips_effect=figure(0.01))
    words = printed(summary(evidence=tiny))
    assert "no finding: other backgrounds take too little to matter" in words


def test_few_donors_of_another_prediction_are_said(printed: Printed) -> None:
    few = "images were put on the background of a picture that is predicted otherwise"
    assert few not in printed(summary())
    words = printed(summary(evidence=evidence(flips_across=figure(0.4, of=500))))
    assert f"Only 500 of 1,180 {few}" in words


def test_classes_have_excess_and_q_and_those_that_stand_out_a_mark(printed: Printed) -> None:
    words = printed(summary())
    assert "* tent 61.5% (53.5 to 68.9; 91 of 148) 4.7% +56.8 (+48.8 to +64.8) <0.001" in words
    assert "teapot 22.2% (6.3 to 54.7; 2 of 9) 0.0% too few -" in words
    assert "gradcam++ 0.190 1.24 (1.19 to 1.29) 1.07" in words


def test_few_images_are_not_judged(printed: Printed) -> None:
    assert "excess, points too few images to judge" in printed(few_images())


def test_the_worst_group_is_named_with_its_column(printed: Printed) -> None:
    assert (
        "accuracy of the worst group 5.0% (3.0 to 7.0; of 41): tent on snow, the lowest of 16 "
        "values of group" in printed(summary())
    )
    assert "worst group no group has 20 images with a label" in printed(few_images())


def test_the_story_is_one_line(printed: Printed, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summary())
    (line,) = (it for it in capsys.readouterr().out.splitlines() if it.startswith("story:"))
    assert line == (
        "story:   Where site is reef, it says knife in 76% of the images of other classes, "
        "everywhere else in 9%."
    )
    assert "story:" not in printed(few_images())


def test_a_line_for_each_confirmed_pattern_or_one_for_none(printed: Printed) -> None:
    words = printed(summary(patterns=several()))
    assert "pattern: P1, mostly site reef, pulls to tent: +38.0 points" in words
    assert words.count("pattern: ") == 1
    assert "patterns: none confirmed of 1 candidate" in printed(
        summary(patterns=found(not_confirmed("P1")))
    )
    assert "pattern" not in printed(summary())


def test_what_was_not_measured_says_why(printed: Printed) -> None:
    unlabelled = summary(**without_labels(), by_prediction=())
    assert unlabelled.evidence == unlabelled_evidence()
    words = printed(unlabelled)
    assert "predictions that other backgrounds change 43.3% (41.3 to 45.3)" in words
    assert "accuracy no image has a label" in words
    assert "among correct no image has a label" in words
    assert "other classes' backgrounds no image has a label: give a table with labels" in words
    words = printed(without_foreground())
    assert "rests on background no prediction is decided: see the rule below" in words
    assert "excess, points" not in words
    assert "change the data has no foreground: give --masks, boxes or --foreground" in words
    words = printed(without_interventions())
    assert "change no picture was changed, as --interventions none asks: leave it out" in words
    older = printed(summary(figures={}))
    assert "change this audit is of an older version: run the same command again" in older


MANY = tuple(class_summary(f"species {number:03}", number % 40, 50) for number in range(300))


def test_ten_classes_are_shown_with_the_way_to_the_rest(printed: Printed) -> None:
    many = summary(by_prediction=MANY, run="/runs/last night")
    words = printed(many)
    assert words.count("species ") == 10
    assert "* species 039 78.0%" in words
    assert (
        "classes: the 10 of 300 flagged most surely more than the null; all: "
        "sightline show '/runs/last night' --all-classes" in words
    )
    every = printed(many, every_class=True)
    assert every.count("species ") == 300
    assert "--all-classes" not in every


SMALL = tuple(class_summary(f"rarity {number:03}", 1, 1) for number in range(883))


def test_classes_with_too_few_images_are_one_line(printed: Printed) -> None:
    words = printed(summary(by_prediction=(*SMALL, *MANY[30:35])))
    assert words.count("species ") == 5
    assert "rarity" not in words
    assert (
        "883 classes have too few images to judge (fewer than 20 decided); all: "
        "sightline show /runs/night --all-classes; --class-groups FILE judges groups of them"
        in words
    )
    assert printed(summary(by_prediction=SMALL), every_class=True).count("rarity") == 883
    none = SMALL[0].model_copy(update={"flagged": wilson(0, 0), "name": "undecided class"})
    assert "undecided class" not in printed(summary(by_prediction=(*SMALL, none)))
    assert "undecided class" in printed(summary(by_prediction=(*SMALL, none)), every_class=True)
    words = printed(without_foreground(by_label=SMALL))
    assert "883 classes have too few images to judge (fewer than 20 labelled)" in words
    assert "rarity" not in words


def test_groups_of_classes_come_before_the_classes(printed: Printed) -> None:
    groups = tuple(row.model_copy(update={"name": f"group {row.name}"}) for row in MANY[20:40])
    worst = WorstGroup(name="group species 020", accuracy=figure(0.5), groups=20, of_classes=True)
    grouped = summary(
        class_groups=ClassGroups(group_of={}),
        by_class_group=groups,
        by_prediction=SMALL,
        worst_group=worst,
    )
    words = printed(grouped)
    assert words.count("group species ") == 11
    assert "group species 020, the lowest of 20 groups of classes" in words
    assert "* group species 039 78.0%" in words
    assert "groups: the 10 of 20 flagged most surely more than the null; all: " in words
    assert "--class-groups" not in words
    assert printed(grouped, every_class=True).count("group species ") == 21


def test_without_flags_the_ten_labels_of_lowest_accuracy_are_shown(printed: Printed) -> None:
    worse = MANY[-1].model_copy(update={"accuracy": wilson(2, 50)})
    words = printed(without_foreground(by_label=(*MANY[:-1], worse)))
    assert words.count("species ") == 10
    assert "species 299 4.0% (1.1 to 13.5; 2 of 50) species" in words
    assert "classes: the 10 of 300 of the surely lowest accuracy; all: sightline show" in words


def test_a_pipe_gets_every_column_in_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a class with a name of very many words, " * 6
    print_summary(summary(by_prediction=(class_summary(long, 91, 148),), data="/data/" * 40))
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line for line in lines if long in line)
    for cell in ("61.5% (53.5 to 68.9; 91 of 148)", "4.7%", "<0.001", "74 of 148)"):
        assert cell in row
    assert lines[0] == "Audit of " + "/data/" * 40
    assert not any("…" in line for line in lines)
