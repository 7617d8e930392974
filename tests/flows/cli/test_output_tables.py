"""Tables fit a terminal, and go whole into a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.text import Text

from flows.cli.output.tables import PlainTable, print_table

OUTPUT = Path(__file__).parents[3] / "flows/cli"
LONG = "many words " * 30


def print_wide_table() -> None:
    table = PlainTable(*(f"column {number}" for number in range(12)))
    table.add_row(*(f"{LONG}{number}" for number in range(12)))
    print_table(table)


def test_a_pipe_gets_every_column_in_whole_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # as cron and CI set it
    print_wide_table()
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "many words" in line)
    assert all(f"{LONG}{number} " in row for number in range(12))


def test_a_terminal_gets_no_line_wider_than_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_wide_table()
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert max(map(len, lines)) <= 80


def test_every_table_is_printed_by_this_console() -> None:
    using = [path.name for path in OUTPUT.rglob("*.py") if "Console(" in path.read_text()]
    assert using == ["tables.py"]
