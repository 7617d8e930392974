"""The command `python -m benchmarks`: which benchmarks it runs, and in which form it prints."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.measure import Figure


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(name: str, quick: bool, photos: Path | None) -> list[Figure]:
        return [Figure(f"{name} {quick} {photos}", 1)]

    monkeypatch.setattr(command, "_run", stand_in)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    command.main()


def test_without_names_it_runs_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--json", "--quick")
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [row["name"] for row in rows] == [f"{name} True None" for name in command.EXPERIMENTS]
    assert printed.err.startswith(
        f"{', '.join(command.OF_PHOTOGRAPHS)} are left out: they need --photos "
    )


def test_those_of_photographs_run_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--json", "--photos", "there")
    printed = capsys.readouterr()
    names = (*command.EXPERIMENTS, *command.OF_PHOTOGRAPHS)
    rows = json.loads(printed.out)
    assert [row["name"] for row in rows] == [f"{name} False there" for name in names]
    assert printed.err == ""


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


@pytest.mark.parametrize("name", command.OF_PHOTOGRAPHS)
def test_those_of_photographs_say_which_folder_they_lack(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is kept, in one line."""
    module = import_module(f"benchmarks.{command.OF_PHOTOGRAPHS[name]}")
    monkeypatch.setattr(module, "CELLS", tmp_path, raising=False)
    with pytest.raises(SystemExit, match=r"--photos DIR is not given: name the folder$"):
        module.run(None)
