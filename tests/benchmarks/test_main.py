"""The command `python -m benchmarks`: which benchmarks it runs, and in which form it prints."""

from __future__ import annotations

import json

import pytest

from benchmarks import __main__ as command
from benchmarks.measure import Figure


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_run", lambda name, quick: [Figure(f"{name} {quick}", 1)])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    command.main()


def test_without_names_it_runs_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--json", "--quick")
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [f"{name} True" for name in command.EXPERIMENTS]


def test_markdown_is_a_table_for_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "pace", "gate", "--markdown")
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        "### pace",
        "### gate",
    ]
    assert printed.count("| date | figure |") == 2


def test_an_unknown_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "speed")
    assert "'speed' is no benchmark; name one of cams, " in capsys.readouterr().err
