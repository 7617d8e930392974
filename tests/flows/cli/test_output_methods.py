"""Compared methods on a terminal."""

from __future__ import annotations

import pytest

from flows.cli.output.methods import print_methods
from tasks.schema import MethodsSummary
from tests.support.method_comparisons import comparison, hostile_comparison, without_figures


def print_to_text(summary: MethodsSummary, capsys: pytest.CaptureFixture[str]) -> str:
    print_methods(summary)
    return capsys.readouterr().out


def flat(printed: str) -> str:
    """In single spaces and without the lines of tables."""
    return " ".join(printed.replace("│", " ").replace("┃", " ").split())


def test_the_recommendation_its_figures_and_every_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = print_to_text(comparison(), capsys)
    assert printed.startswith("Use ibisa: faithfulness 0.45 (0.42 to 0.48), at 41 times")
    words = flat(printed)
    assert "images: 120, 32 of them in the sanity checks" in words
    assert "method faithfulness ↑ mean lift ↑ half random ↓ stability ↑ reliance ↑ times" in words
    assert "* ibisa 0.448 (0.420 to 0.476) 3.31 0.130 0.898 0.248 41.0" in words
    assert "captum:GuidedBackprop 0.297" in words
    lines = printed.splitlines()
    assert "vjp: less faithful than iba (3 of zeros)" in lines
    assert any(line.startswith("integrated_gradients: dominated by") for line in lines)
    assert lines[-1].startswith("rule:    Of the sane methods")


def test_what_is_missing_is_a_dash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "vjp – – – – – –" in flat(print_to_text(without_figures(), capsys))
    nothing = comparison(methods=(), recommended=None)
    assert "faithfulness ↑" not in print_to_text(nothing, capsys)


def test_a_hostile_name_neither_breaks_lines_nor_turns_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = print_to_text(hostile_comparison(), capsys)
    assert "\u202e" not in printed
    assert "\x00" not in printed
    verdicts = [line for line in printed.splitlines() if line.startswith("grad_cam: ")]
    assert len(verdicts) == 1
