"""The figures of a run on a terminal: flagged beside the null, flips beside their floor."""

from __future__ import annotations

import pytest

from flows.cli.output.audit import print_summary
from tasks.schema import Summary
from tests.support.audit_summaries import (
    few_images,
    summary,
    unlabelled_evidence,
    without_foreground,
    without_labels,
)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    monkeypatch.setenv("COLUMNS", "200")
    return Printed(capsys)


class Printed:
    """Prints a summary and returns the text, in single spaces and without the lines of tables."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, summary: Summary) -> str:
        print_summary(summary)
        return " ".join(self.capsys.readouterr().out.replace("│", " ").replace("┃", " ").split())


def test_flagged_stands_beside_the_null_and_the_excess(printed: Printed) -> None:
    words = printed(summary())
    assert "rests on background 34.9% (32.2 to 37.7; 412 of 1,180)" in words
    assert "if backgrounds did not matter 5.0% (3.9 to 6.4; 59 of 1,180)" in words
    assert "excess, points +29.9 (+26.9 to +32.9)" in words


def test_flips_and_accuracy_stand_beside_those_of_the_own_class(printed: Printed) -> None:
    words = printed(summary())
    assert (
        "changed on other backgrounds 46.7% (44.7 to 48.7), own kind 12.1% (10.1 to 14.1)" in words
    )
    assert (
        "accuracy on other classes' backgrounds 43.3% (41.3 to 45.3), "
        "own class 71.1% (69.1 to 73.1)" in words
    )


def test_classes_have_excess_and_q_and_those_that_stand_out_a_mark(printed: Printed) -> None:
    words = printed(summary())
    assert "* tent 61.5% (53.5 to 68.9; 91 of 148) 4.7% +56.8 (+48.8 to +64.8) <0.001" in words
    assert "teapot 22.2% (6.3 to 54.7; 2 of 9) 0.0% too few -" in words
    assert "gradcam++ 0.190 1.24 (1.19 to 1.29) 1.07" in words


def test_few_images_are_not_judged(printed: Printed) -> None:
    assert "excess, points too few images to judge" in printed(few_images())


def test_what_was_not_measured_is_a_dash(printed: Printed) -> None:
    unlabelled = summary(**without_labels(), by_prediction=())
    assert unlabelled.evidence == unlabelled_evidence()
    assert (
        "changed on other backgrounds 46.7% (44.7 to 48.7), own kind 12.1% (10.1 to 14.1)"
        in printed(unlabelled)
    )
    words = printed(without_foreground())
    assert "excess, points - " in words
    assert "changed on" not in words
    assert "predicted class" not in words
