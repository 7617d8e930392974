"""A series: which folder a run gets, and which run came before it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.addresses import as_path
from tasks.runs.folder import RunFolder
from tasks.runs.series import find_previous, settle_folder
from tasks.runs.settings import OutputSettings


def test_the_previous_run_is_the_last_finished_one_before(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    series = tmp_path / "nightly"
    times = [datetime(2026, 11, day, 2, tzinfo=UTC) for day in range(18, 23)]
    output = OutputSettings(series=str(tmp_path))
    assert settle_folder(output, "nightly", times[0]).reuse is None
    folders = [settle_folder(output, "nightly", time).folder for time in times]
    assert folders[0] == str(series / "2026-11-18T02-00-00Z")
    for folder in (folders[0], folders[1], folders[4]):
        RunFolder.at(shutil.copytree(finished_run.path, folder)).update_state(state="finished")
    half = RunFolder.at(shutil.copytree(finished_run.path, folders[2]))
    half.update_state(state="running")
    (series / "2026-11-20 notes").mkdir()
    (series / "2026-11-20.txt").write_text("no run")
    assert settle_folder(output, "nightly", times[3]).reuse == folders[1]
    assert settle_folder(output, "nightly", times[0]).reuse is None
    assert find_previous(as_path(series), folders[1]) == folders[0]
    RunFolder.at(folders[1]).catalog.write_bytes(b"PAR1")  # its rows cannot be found any more
    assert settle_folder(output, "nightly", times[3]).reuse == folders[0]


def test_a_time_gives_one_folder_in_every_zone() -> None:
    output = OutputSettings(series="runs", replace=True, reuse="other")
    berlin = datetime(2026, 11, 21, 3, 0, 0, 123456, timezone(timedelta(hours=1)))
    settled = settle_folder(output, None, berlin)
    assert settled.folder == str(Path("runs/by-hand/2026-11-21T02-00-00Z").absolute())
    assert (settled.replace, settled.reuse) == (True, "other")
    alone = OutputSettings(run="here")
    assert settle_folder(alone, "nightly", berlin) is alone


@pytest.mark.parametrize("folders", [{}, {"run": "a", "series": "b"}])
def test_exactly_one_folder_is_required(folders: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="give --out FOLDER or --series FOLDER"):
        OutputSettings(**folders)
