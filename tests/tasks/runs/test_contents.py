"""Of a run folder only files that a run writes are deleted; links are never followed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import as_path
from tasks.runs.contents import (
    erase,
    forget_interventions,
    forget_notes,
    is_own_file,
    list_contents,
    remove_temporary_files,
)
from tasks.runs.folder import RunFolder
from tasks.runs.stages import FAILURES, INTERVENTIONS, MAPS, PREDICTIONS, SCORES, STAGES

UNIQUE = "0123456789abcdef" * 2
MINE = (
    *("mine.md", ".mine.tmp", "notes/mine.md", "notes/3.txt", ".git/config", "thesis/a.tex"),
    *("maps/notes.txt", "maps/grad_cam/part-1.parquet", "predictions/part-00000.parquet.bak"),
    *("maps/grad_cam/old/part-00000.parquet", "lock/mine.json", "model/my-weights.pt"),
    *("estimated/mine.csv", "other/part-00000.parquet", f".mine.md.{UNIQUE}.tmp"),
)
OURS = (
    *("catalog.parquet", "summary.json", "notes/12.json", "model/model.safetensors"),
    *("maps/rise:masks=20/part-00003.parquet", "estimated/scores/iba/part-00000.parquet"),
    *("failures/predictions/part-00000.parquet", "votes/part-00000.parquet"),
    *("attended_background/iba/part-00002.parquet", "picture_properties/part-00000.parquet"),
    *(f".summary.json.{UNIQUE}.tmp", f"maps/iba/.part-00001.parquet.{UNIQUE}.tmp"),
    *(f"lock/{UNIQUE}.json",),
)


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A finished run among files of the user's."""
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    for name in (*MINE, *OURS):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).touch()
    return run


def files_in(run: RunFolder) -> set[str]:
    paths = (path for path in run.path.rglob("*") if path.is_file())
    return {path.relative_to(run.path).as_posix() for path in paths}


def test_a_finished_run_holds_nothing_but_files_of_the_table(finished_run: RunFolder) -> None:
    contents = list_contents(finished_run)
    assert {*contents.ours} == files_in(finished_run)
    assert contents.others == ()


def test_what_is_the_users_is_listed_by_its_own_folder(run: RunFolder) -> None:
    contents = list_contents(run)
    assert {*OURS} <= {*contents.ours}
    assert not {*MINE} & {*contents.ours}
    folders = {name for name in contents.others if name.endswith("/")}
    assert folders == {".git/", "thesis/", "other/", "maps/grad_cam/old/"}
    inside = {name for name in MINE if name.startswith(tuple(folders))}
    assert {*contents.others} == folders | ({*MINE} - inside)


def test_erasing_deletes_the_run_and_nothing_else(run: RunFolder) -> None:
    erase(run)
    assert files_in(run) == {*MINE}


@pytest.mark.parametrize("name", [*MINE, *OURS])
def test_only_names_of_the_table_are_ours(name: str) -> None:
    assert is_own_file(name) == (name in OURS)


@given(st.from_regex(r"[a-z./]{1,20}", fullmatch=True))
def test_an_invented_name_is_not_ours(name: str) -> None:
    assert not is_own_file(name)


def test_continuing_deletes_no_file_of_the_users(run: RunFolder) -> None:
    before = files_in(run)
    remove_temporary_files(run)
    forget_notes(run)
    gone = {"notes/12.json", *(name for name in OURS if name.endswith(".tmp"))}
    assert files_in(run) == before - gone


def test_a_run_without_interventions_keeps_none(tmp_path: Path) -> None:
    run = RunFolder.at(tmp_path)
    stages = [*STAGES, *(stage.from_estimates() for stage in (SCORES, INTERVENTIONS))]
    stages += [FAILURES.of("predictions"), FAILURES.of("interventions"), MAPS.of("iba")]
    for stage in stages:
        run.part(stage, 0).parent.mkdir(parents=True, exist_ok=True)
        run.part(stage, 0).touch()
    (run.stage(INTERVENTIONS) / "mine.md").touch()
    run.donors.touch()
    forget_interventions(run)
    gone = {stage.folder for stage in stages if not run.part(stage, 0).exists()}
    assert gone == {"interventions", "votes", "estimated/interventions", "failures/interventions"}
    assert (run.stage(INTERVENTIONS) / "mine.md").exists()
    assert not run.donors.exists()


def test_links_stay_and_are_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/part-00000.parquet").touch()
    (tmp_path / "mine.json").touch()
    shutil.rmtree(run.stage(PREDICTIONS))
    run.stage(PREDICTIONS).symlink_to(tmp_path / "mine")
    run.summary.unlink()
    run.summary.symlink_to(tmp_path / "mine.json")
    assert {"predictions", "summary.json"} <= {*list_contents(run).obstacles}
    erase(run)
    assert (tmp_path / "mine/part-00000.parquet").exists()
    assert (tmp_path / "mine.json").exists()
    assert run.stage(PREDICTIONS).is_symlink()
    assert run.summary.is_symlink()


def test_a_run_in_remote_storage_is_erased_alike(finished_run: RunFolder) -> None:
    run = RunFolder(as_path("memory://contents/run"))
    run.path.fs.put(str(finished_run.path), run.path.path, recursive=True)
    (run.path / "notes/mine.md").write_text("mine")
    assert "predictions/part-00001.parquet" in list_contents(run).ours
    assert erase(run).others == ("notes/mine.md",)
    assert run.path.fs.find(run.path.path) == ["/contents/run/notes/mine.md"]
