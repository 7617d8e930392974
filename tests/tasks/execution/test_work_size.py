"""Small work is done in the command's own process, with the same numbers as by workers."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.attribution.job import Job
from tasks.execution import work_size
from tasks.execution.attribution_stage import attribute_run, job_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.work_size import MOST_IMAGES, died_here, note_own_process, settle_workers
from tasks.runs.contents import forget_notes
from tasks.runs.folder import RunFolder
from tasks.storage.parquet import read_table

PARTS = ("predictions", "maps", "scores", "features", "interventions", "votes", "failures")


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))


@pytest.fixture
def job(run: RunFolder) -> Job:
    return job_of(run, ComputeSettings())


@pytest.fixture
def four_threads() -> Iterator[Callable[[], int]]:
    """Where sums of several threads would be added in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield torch.get_num_threads
    torch.set_num_threads(before)


def without_parts(finished: RunFolder, folder: Path) -> RunFolder:
    run = RunFolder.at(shutil.copytree(finished.path, folder))
    for stage in PARTS:
        shutil.rmtree(folder / stage, ignore_errors=True)
    return run


@pytest.mark.full  # it starts two processes
def test_its_rows_are_those_of_worker_processes(
    finished_run: RunFolder, tmp_path: Path, four_threads: Callable[[], int]
) -> None:
    runs = {}
    for workers in (0, 2):
        run = runs[workers] = without_parts(finished_run, tmp_path / str(workers))
        compute = ComputeSettings(workers=workers)
        cost = attribute_run(run, compute, str(tmp_path / "dask"), lambda _: None)
        assert (cost.computed, cost.workers) == (64, max(1, workers))
    parts = {
        path.relative_to(tmp_path / "2").as_posix() for path in (tmp_path / "2").rglob("part-*")
    }
    assert {name.split("/")[0] for name in parts} >= {"predictions", "maps", "interventions"}
    for name in sorted(parts):
        own, theirs = (read_table(runs[workers].path / name) for workers in (0, 2))
        assert own.equals(theirs, check_metadata=True), name
    assert four_threads() == 4  # as it was found


def test_small_work_is_done_here_and_says_so(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sightline")
    assert settle_workers(ComputeSettings(), job, 64).workers == 0
    assert "done without starting workers (as --workers 0)" in caplog.text


@pytest.mark.parametrize(
    "compute", [ComputeSettings(workers=2), ComputeSettings(dask="tcp://127.0.0.1:8786")]
)
def test_what_was_asked_for_stays(
    job: Job, compute: ComputeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_size, "_seconds_per_pass", lambda _: pytest.fail("it is timed"))
    assert settle_workers(compute, job, 64) == compute


def test_long_work_is_left_to_workers(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = ComputeSettings()
    assert settle_workers(compute, job, MOST_IMAGES + 1) == compute
    monkeypatch.setattr(work_size, "_seconds_per_pass", lambda _: 10.0)
    assert settle_workers(compute, job, 64) == compute


def test_more_passes_take_longer(job: Job) -> None:
    def passes(*names: str, changes: Job = job) -> float:
        attribution = job.attribution.model_copy(update={"methods": names})
        found = work_size._passes(replace(changes, attribution=attribution))
        assert found is not None
        return found

    few, more, many = map(passes, ("grad_cam_pp", "integrated_gradients", "rise:masks=500"))
    assert passes("grad_cam_pp", changes=replace(job, donors=None)) < few < more < many


def test_a_method_of_unknown_cost_is_left_to_workers(job: Job, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def shared(model, images, targets): return images[:, 0]\n")
    methods = ("grad_cam_pp", f"{tmp_path}/own.py:shared")
    job = replace(job, attribution=job.attribution.model_copy(update={"methods": methods}))
    assert settle_workers(ComputeSettings(), job, 8) == ComputeSettings()


def test_after_a_death_here_workers_compute(
    run: RunFolder, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sightline")
    note_own_process(run)
    assert settle_workers(ComputeSettings(), job, 64) == ComputeSettings()
    assert "the last try ended without a word: workers compute now" in caplog.text


def test_the_note_goes_alone(run: RunFolder) -> None:
    mine = Path(run.notes) / "mine.md"
    note_own_process(run)
    mine.write_text("mine")
    assert died_here(run)
    forget_notes(run)
    assert not died_here(run)
    assert mine.read_text() == "mine"


def test_work_that_ends_leaves_no_note(finished_run: RunFolder, tmp_path: Path) -> None:
    run = without_parts(finished_run, tmp_path / "run")
    noted = []
    attribute_run(
        run, ComputeSettings(), str(tmp_path / "dask"), lambda _: noted.append(died_here(run))
    )
    assert any(noted)
    assert not run.notes.exists()
