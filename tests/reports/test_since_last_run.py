"""The page's section on what moved since the last run, and the same words on a terminal."""

from __future__ import annotations

import pytest

from flows.cli.output.comparison import print_comparison
from tasks.schema import Comparison, Difference, Move, wilson
from tests.support.audit_summaries import SPITEFUL, summary
from tests.support.html_page import check_markup, read
from tests.support.model_comparisons import pattern_change


def move(figure: str, *, moved: bool, name: str | None = None) -> Move:
    return Move(
        figure=figure,
        name=name,
        before=0.3,
        now=0.36,
        change=0.06,
        low=0.02 if moved else -0.02,
        high=0.1,
        of_before=900,
        of=1000,
        shared=850,
        moved=moved,
        sentence="moved by +6.0 points (+2.0 to +10.0)"
        if moved
        else "no change that these numbers can show (−2.0 to +10.0 points)",
    )


def comparison(name: str = "tent") -> Comparison:
    return Comparison(
        before="runs/nightly/2026-08-03T02-00-00Z",
        created="2026-08-03T02:00:11+00:00",
        differs=(Difference(field="model", before=f"9f2c of {name}", now="77aa of new"),),
        same=850,
        changed=3,
        added=150,
        removed=50,
        predictions_changed=wilson(17, 850),
        figures=(
            move("accuracy", moved=False),
            move("flagged", moved=True),
            move("mean_lift", moved=False),
        ),
        classes=(
            move("flagged", moved=True, name=name),
            move("flagged", moved=False, name="teapot"),
        ),
        confidence=0.975,
        patterns=(pattern_change("new", name), pattern_change("shrunk")),
    )


def test_the_page_says_what_moved_and_what_did_not() -> None:
    page = read(summary(moved=comparison()))
    assert "The two runs differ in more than their images." in page.words
    assert "850 images with the same bytes in both, 3 changed, 150 added, 50 removed" in page.words
    assert "17 (2.0%) are predicted differently" in page.words
    assert "moved by +6.0 points (+2.0 to +10.0)" in page.words
    assert "no change that these numbers can show (−2.0 to +10.0 points)" in page.words
    assert "2 classes with enough images were compared, 1 moved." in page.words
    assert "2 confirmed, then or now: 1 new, 1 shrunk." in page.words
    assert "new: not confirmed before, +1.0 points (−2.0 to +4.0)" in page.words
    assert "teapot 30.0%" not in page.words  # did not move, so it is counted and not listed
    assert ("a", {"href": "#moved"}) in page.elements


def test_a_page_of_a_first_run_has_no_such_section() -> None:
    page = read(summary())
    assert "Since the last run" not in page.words
    assert ("a", {"href": "#moved"}) not in page.elements


def test_the_users_words_stay_words() -> None:
    page = read(summary(moved=comparison(SPITEFUL)))
    check_markup(page)
    assert "alert(1)" in page.words


def test_a_terminal_says_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_comparison(comparison())
    output = capsys.readouterr().out
    assert "differs: model was 9f2c of tent, is 77aa of new" in output
    assert "850 the same, 3 changed, 150 added, 50 removed; 17 of the same predicted dif" in output
    assert "Flagged as resting on the background, tent" in output
    assert "Flagged as resting on the background, teapot" not in output
    assert "moved by +6.0 points (+2.0 to +10.0)" in output
    assert "1 of 2 predicted classes with enough images moved" in output
    assert "patterns: 2 confirmed, then or now: 1 new, 1 shrunk" in output
    assert "shrunk by −10.0 points" in output
