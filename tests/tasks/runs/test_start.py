"""A run folder belongs to one identity: another is refused, or replaced when that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.classifier.preprocessing import Preprocessing
from models.errors import RunFolderError
from tasks.runs.folder import RunFolder
from tasks.runs.inventory import remove_run
from tasks.runs.start import start_run
from tasks.runs.state import Identity, RunState, numeric_policy
from tasks.storage.lock import hold_lock, owner_of


def start(path: Path, model: str = "m1", replace: bool = False) -> RunFolder:
    """A run of this model, new or continued."""
    identity = Identity(
        catalog="c",
        model=model,
        classes="n",
        preprocessing=Preprocessing(crop=(8, 8)),
        layer="last",
        target="prediction",
        foreground="none",
        polarity="foreground",
        orientation="upright",
        estimator=None,
        numeric=numeric_policy("contiguous"),
        shard_size=4,
    )
    state = RunState(settings={}, state="running", schema_version=1, identity=identity)
    run = RunFolder.at(path)
    start_run(run, state, replace=replace)
    return run


def test_the_same_identity_continues(tmp_path: Path) -> None:
    first = start(tmp_path / "run")
    (first.path / "kept").touch()
    start(tmp_path / "run")
    assert (first.path / "kept").exists()


def test_another_identity_is_refused_naming_the_fields(tmp_path: Path) -> None:
    start(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"model was 'm1', is 'm2'.*--replace") as caught:
        start(tmp_path / "run", "m2")
    assert "layer" not in str(caught.value)


def test_replacing_is_explicit(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.flags.touch()
    (run.path / "thesis").mkdir()
    start(tmp_path / "run", "m2", replace=True)
    assert not run.flags.exists()
    assert (run.path / "thesis").exists()  # not ours
    assert run.read_state().identity.model == "m2"


def test_who_replaces_a_run_keeps_its_lock(tmp_path: Path) -> None:
    start(tmp_path / "run")
    with hold_lock(str(tmp_path / "run")):
        run = start(tmp_path / "run", "m2", replace=True)
        assert owner_of(run.path) is not None


def test_replacing_continues_a_run_of_the_same_identity(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    (run.path / "kept").touch()
    start(tmp_path / "run", replace=True)
    assert (run.path / "kept").exists()


def test_a_file_is_not_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RunFolderError, match="is neither empty nor a run folder"):
        start(tmp_path / "run")


def test_a_folder_with_other_things_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for replace in (False, True):
        with pytest.raises(RunFolderError, match="is neither empty nor a run folder"):
            start(tmp_path, replace=replace)
    assert (tmp_path / "thesis.tex").exists()


def test_a_run_json_of_another_program_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"scripts": 1}')
    (tmp_path / "thesis").mkdir()
    for replace in (False, True):
        with pytest.raises(RunFolderError, match=r"run\.json is not Sightline's"):
            start(tmp_path, replace=replace)
    assert not RunFolder.at(tmp_path).holds_run()
    assert (tmp_path / "thesis").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": 1, "schema_version": 1}'])
def test_a_run_json_that_identifies_no_run_vouches_for_nothing(
    tmp_path: Path, content: str
) -> None:
    """Nor does the refusal recommend to delete what may be another program's."""
    run = start(tmp_path / "run")
    run.flags.touch()
    run.state.write_text(content)
    for replace in (False, True):
        with pytest.raises(RunFolderError, match=r"run\.json|not a run folder") as caught:
            start(tmp_path / "run", "m2", replace=replace)
        assert not any(word in str(caught.value) for word in ("--replace", "delete", "remove"))
    with pytest.raises(RunFolderError):
        remove_run(str(tmp_path / "run"))
    assert run.flags.exists()


def test_replacing_names_what_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = start(tmp_path / "run")
    (run.path / "mine.md").touch()
    with caplog.at_level("WARNING", "sightline"):
        start(tmp_path / "run", "m2", replace=True)
    assert "keeps what is not the run's: 'mine.md'" in caplog.text


@pytest.mark.parametrize("name", ["maps", "summary.json", "predictions", "notes", "lock"])
@pytest.mark.parametrize("model", ["m1", "m2"])
def test_nothing_is_written_or_deleted_through_a_link(
    tmp_path: Path, name: str, model: str
) -> None:
    run = start(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/part-00000.parquet").touch()
    (run.path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(RunFolderError, match=f"{name} is a link"):
        start(tmp_path / "run", model, replace=True)
    assert (tmp_path / "mine/part-00000.parquet").exists()
    assert (run.path / name).is_symlink()


def test_continuing_deletes_what_is_derived_from_the_parts(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.finish(run.report, "<html>")
    start(tmp_path / "run")
    assert not run.report.exists()
    assert run.read_state().state == "running"
