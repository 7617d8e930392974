"""The next run of a series has the scenarios of the run before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.query.filters import Filter, HasValue, InLasso
from tasks.runs.folder import RunFolder
from tasks.scenarios.earlier_scenarios import take_earlier_scenarios
from tasks.scenarios.saved import read_scenarios, save_scenario

SNOW = Filter(conditions=(HasValue(column="weather", values=("snow",)),))
LASSO = Filter(conditions=(InLasso(space="whole", polygon=((0, 0), (1, 0), (0, 1))),))


@pytest.fixture
def monday(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "monday"))


@pytest.fixture
def tuesday(monday: RunFolder, tmp_path: Path) -> RunFolder:
    run = RunFolder.at(shutil.copytree(monday.path, tmp_path / "tuesday"))
    run.update_state(reuse=str(monday.path))
    return run


def test_scenarios_are_taken_over_and_lassos_stay(monday: RunFolder, tuesday: RunFolder) -> None:
    save_scenario(monday, "snow", SNOW)
    save_scenario(monday, "corner", LASSO)
    take_earlier_scenarios(tuesday)
    assert [(it.name, it.filter) for it in read_scenarios(tuesday)] == [("snow", SNOW)]


def test_a_run_with_scenarios_of_its_own_keeps_them(monday: RunFolder, tuesday: RunFolder) -> None:
    save_scenario(monday, "snow", SNOW)
    save_scenario(tuesday, "all", Filter())
    take_earlier_scenarios(tuesday)
    assert [it.name for it in read_scenarios(tuesday)] == ["all"]


def test_a_damaged_file_costs_no_audit(
    monday: RunFolder, tuesday: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    monday.scenarios.write_text("{")
    take_earlier_scenarios(tuesday)
    assert not tuesday.scenarios.exists()
    assert "were not taken over" in caplog.text
    take_earlier_scenarios(monday)
    assert monday.scenarios.read_text() == "{"
