"""`sightline runs` and `sightline remove`: list runs with their state, and delete one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flows.cli.output.runs import format_size
from tasks.runs.folder import RunFolder
from tasks.storage.lock import hold_lock
from tests.support.command_line import invoke


@pytest.fixture
def runs(finished_run: RunFolder, tmp_path: Path) -> Path:
    """A finished run and a half-finished one."""
    done = tmp_path / "runs/done"
    shutil.copytree(finished_run.path, done)
    half = Path(shutil.copytree(finished_run.path, tmp_path / "runs/nightly/half"))
    RunFolder.at(half).part("predictions", 1).unlink()
    RunFolder.at(half).update_state(state="running")  # killed: nobody writes it
    return tmp_path / "runs"


def listed(folder: Path) -> dict[str, dict[str, object]]:
    done = invoke("runs", str(folder), "--json")
    assert done.exit_code == 0
    return {Path(entry["path"]).name: entry for entry in json.loads(done.stdout)}


def test_runs_are_listed_with_state_and_size(runs: Path) -> None:
    entries = listed(runs)
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "done": "finished",
        "half": "stopped",
    }
    assert {name: entry["done"] for name, entry in entries.items()} == {"done": 64, "half": 40}
    files = [path for path in (runs / "done").rglob("*") if path.is_file()]
    assert entries["done"]["size"] == sum(path.stat().st_size for path in files)
    with hold_lock(str(runs / "done")):
        assert listed(runs)["done"]["state"] == "running"
    table = invoke("runs", str(runs)).stdout
    assert "finished" in table
    assert "40 of 64" in table


def test_a_run_is_deleted_after_asking(runs: Path) -> None:
    refused = invoke("remove", str(runs / "done"), answer="n\n")
    assert refused.exit_code == 0
    assert "nothing was deleted" in refused.stdout
    assert invoke("remove", str(runs / "done"), answer="").exit_code == 2
    assert (runs / "done").exists()
    assert invoke("remove", str(runs / "done"), answer="y\n").exit_code == 0
    assert invoke("remove", str(runs / "nightly/half"), "--yes").exit_code == 0
    assert listed(runs) == {}


def test_what_is_not_the_runs_is_kept_and_named(runs: Path) -> None:
    (runs / "done/notes").mkdir()
    (runs / "done/notes/mine.md").touch()
    done = invoke("remove", str(runs / "done"), "--yes")
    assert done.exit_code == 0
    assert "kept what is not the run's: 'notes/mine.md'" in done.stdout
    assert [path.name for path in (runs / "done").rglob("*")] == ["notes", "mine.md"]


def test_a_damaged_run_hides_no_other(runs: Path) -> None:
    (runs / "a").mkdir()
    (runs / "a/run.json").write_bytes(b"\xff")
    RunFolder.at(runs / "nightly/half").catalog.write_bytes(b"PAR1")
    entries = listed(runs)
    states = {name: entry["state"] for name, entry in entries.items()}
    assert states == {"a": "damaged", "done": "finished", "half": "damaged"}
    assert "half/catalog.parquet is damaged" in str(entries["half"]["damage"])
    table = invoke("runs", str(runs)).stdout
    assert f"damaged: {runs}/a/run.json is damaged" in table
    refused = invoke("remove", str(runs / "a"), "--yes")
    assert refused.exit_code == 2
    assert (runs / "a/run.json").exists()
    assert invoke("remove", str(runs / "nightly/half"), "--yes").exit_code == 0


def test_what_is_no_run_or_is_being_written_stays(runs: Path) -> None:
    for folder, message in (
        (runs, "is not a run folder"),
        (runs / "nowhere", "is not a run folder"),
    ):
        done = invoke("remove", str(folder), "--yes")
        assert done.exit_code == 2
        assert message in done.stderr
    with hold_lock(str(runs / "done")):
        done = invoke("remove", str(runs / "done"), "--yes")
    assert done.exit_code == 2
    assert "is being written by process" in done.stderr
    assert (runs / "done").exists()
    assert invoke("runs", str(runs / "nowhere")).exit_code == 2


def test_sizes_are_for_people() -> None:
    sizes = (0, 999, 1000, 12_345_678, 5_000_000_000_000_000)
    assert [format_size(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1.0 KB",
        "12.3 MB",
        "5000.0 TB",
    ]
